"""Every kernel has the contract's parameters, refuses what it cannot read, changes no input."""

from __future__ import annotations

import inspect
from inspect import isfunction, ismodule

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.contracts import Kernels
from corpus import NOT_ARRAYS, REFUSED_LAYOUTS, REFUSED_VECTORS
from kernel_calls import OPERATIONS, arrays_of, outputs_of, well_formed_call
from refusals import UNREADABLE, refusal


class TestContract:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_every_backend_has_the_operation_with_the_same_parameters(self, kernels, operation):
        contract = inspect.signature(getattr(Kernels, operation))
        expected = [(p.name, p.default) for p in list(contract.parameters.values())[1:]]
        found = inspect.signature(getattr(kernels, operation)).parameters.values()
        assert [(p.name, p.default) for p in found] == expected

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_what_is_called_once_the_arguments_are_checked_has_them_as_well(
        self, kernels, operation
    ):
        checked = inspect.signature(getattr(kernels, operation))
        assert inspect.signature(getattr(kernels.operations, operation)) == checked

    def test_no_backend_has_an_operation_that_the_contract_lacks(self, kernels):
        operations = kernels.operations
        holders = (type(kernels), operations if ismodule(operations) else type(operations))
        for holder in holders:
            public = {name for name, value in vars(holder).items() if isfunction(value)}
            if ismodule(holder):
                public = {n for n in public if getattr(holder, n).__module__ == holder.__name__}
            assert {name for name in public if not name.startswith("_")} == set(OPERATIONS)

    @pytest.mark.compiled
    def test_the_two_backends_are_not_one_and_the_same(self, dtype):
        compiled = backends.get("cython").unchecked_kernels(dtype)
        reference = backends.get("numpy").unchecked_kernels(dtype)
        assert compiled.loops.__file__.endswith((".so", ".pyd"))
        assert reference.__file__.endswith(".py")
        for operation in OPERATIONS:
            assert getattr(compiled, operation) is not getattr(reference, operation)


class TestRefusals:
    @pytest.fixture
    def refuses(self, kernels, dtype):
        """Call an operation with one argument changed, which must be refused."""

        def check(operation, argument, change, error, match, case):
            arguments = well_formed_call(operation, dtype, np.random.default_rng(1))
            arguments[argument] = change(arguments[argument])
            with refusal(error, match, argument, case):
                getattr(kernels, operation)(**arguments)

        return check

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_a_layout_that_it_cannot_read_is_a_value_error(self, refuses, dtype, rng, operation):
        for argument, good in arrays_of(well_formed_call(operation, dtype, rng)).items():
            for layout, change in (REFUSED_LAYOUTS if good.ndim == 2 else REFUSED_VECTORS).items():
                refuses(operation, argument, change, ValueError, UNREADABLE, layout)

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_what_is_not_an_array_is_a_type_error(self, refuses, dtype, rng, operation):
        # None stands for a gradient that is not asked for, or for weights that are all 1.
        optional = {*outputs_of("dense_backward"), "weights"}
        for argument in arrays_of(well_formed_call(operation, dtype, rng)):
            for case, thing in NOT_ARRAYS.items():
                is_needed = argument not in optional or operation == "dense_forward"
                if thing is not None or is_needed:
                    refuses(operation, argument, lambda _, x=thing: x, TypeError, "", case)

    # Random numbers are drawn in any number.
    @pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "random_bits"])
    def test_a_shape_that_does_not_fit_is_a_value_error(self, refuses, dtype, rng, operation):
        changes = {
            "a row more": lambda a: np.concatenate([a, a[:1]]),
            "a column less": lambda a: np.ascontiguousarray(a[..., :-1]),
            "none at all": lambda a: np.ascontiguousarray(a[:0]),
        }
        for argument in arrays_of(well_formed_call(operation, dtype, rng)):
            for case, change in changes.items():
                refuses(operation, argument, change, ValueError, "expected", case)

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_a_read_only_output_is_a_value_error_and_a_read_only_input_is_fine(
        self, kernels, dtype, rng, operation
    ):
        arguments = well_formed_call(operation, dtype, rng)
        outputs = outputs_of(operation)
        for name, value in arguments.items():
            if isinstance(value, np.ndarray) and name not in outputs:
                value.flags.writeable = False
        getattr(kernels, operation)(**arguments)
        for output in outputs:
            arguments[output].flags.writeable = False
            with pytest.raises(ValueError, match="read-only"):
                getattr(kernels, operation)(**arguments)
            arguments[output].flags.writeable = True

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_inputs_are_left_as_they_are(self, kernels, dtype, rng, operation):
        arguments = well_formed_call(operation, dtype, rng)
        inputs = {
            name: value.copy()
            for name, value in arguments.items()
            if isinstance(value, np.ndarray) and name not in outputs_of(operation)
        }
        getattr(kernels, operation)(**arguments)
        for name, before in inputs.items():
            assert np.array_equal(arguments[name], before), name

    @pytest.mark.parametrize(
        "operation", ["convolve", "convolve_backward", "pool", "pool_backward"]
    )
    def test_no_images_are_accepted_and_give_no_gradient(self, kernels, dtype, rng, operation):
        arguments = well_formed_call(operation, dtype, rng)
        for name in arrays_of(arguments).keys() - {"weights", "grad_weights"}:
            arguments[name] = arguments[name][:0]
        getattr(kernels, operation)(**arguments)
        assert not np.any(arguments.get("grad_weights", 0))

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_nothing_beside_an_output_is_written(self, kernels, dtype, rng, operation):
        arguments = well_formed_call(operation, dtype, rng)
        guards = {}
        for name in outputs_of(operation):
            value = arguments[name]
            guard = np.full(value.size + 200, 7, value.dtype)
            guard[100:-100] = value.ravel()
            arguments[name] = guard[100:-100].reshape(value.shape)
            guards[name] = guard
        getattr(kernels, operation)(**arguments)
        for guard in guards.values():
            assert (guard[:100] == 7).all()
            assert (guard[-100:] == 7).all()

    @pytest.mark.parametrize(
        ("operation", "argument"),
        [
            ("activate", "activation"),
            ("activation_backward", "activation"),
            ("loss", "loss"),
            ("output_delta", "loss"),
            ("output_delta", "activation"),
            ("normalize", "normalization"),
            ("normalize_backward", "normalization"),
        ],
    )
    def test_a_name_that_it_does_not_know_is_a_value_error(self, refuses, operation, argument):
        for name in ("mish", "", "Tanh", "mse"):
            match = f"{argument}: expected .*'{name}'"
            refuses(operation, argument, lambda _, x=name: x, ValueError, match, name)
