"""Decimal numbers in a buffer of bytes, read by NumPy many at a time.

The values are those of `float`: correctly rounded. Eight digits are read at once as one 64-bit
word. A number of up to 18 digits is an integer over a power of ten; where the integer has no more
than 53 bits the quotient of two doubles is correctly rounded (Clinger, "How to read floating point
numbers accurately", 1990). Otherwise the quotient is taken as the sum of two doubles, and a value
too close to the middle between two doubles is left to `float`, like all else that is not plain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PADDING", "read_decimals"]

PADDING = 32
"""Bytes that must stand before the first number: whole words are read that end in it."""

Positions = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

_MOST_DIGITS = 18
_WORD = 8

_u64 = np.uint64
_ZEROS = _u64(0x3030303030303030)
_ABOVE_NINE = _u64(0x7676767676767676)
_HIGH_BITS = _u64(0x8080808080808080)
_PAIRS = _u64(0x00FF00FF00FF00FF)
_FOURS = _u64(0x0000FFFF0000FFFF)
_EIGHTS = _u64(0x00000000FFFFFFFF)
_WHOLE_POWERS = _u64(10) ** np.arange(20, dtype=np.uint64)
_POWERS = np.array([float(10**k) for k in range(_MOST_DIGITS + 1)])
_SPLITTER = 2.0**27 + 1


def read_decimals(
    buffer: bytes, starts: Positions, ends: Positions
) -> tuple[npt.NDArray[np.float64], Positions]:
    """Read the numbers that stand at given places of a buffer.

    Parameters
    ----------
    buffer : bytes
        At least `PADDING` bytes, of whatever value, stand before the first number.
    starts, ends : numpy.ndarray, (n,)
        Where each number begins, and behind its last character.

    Returns
    -------
    values : numpy.ndarray, (n,), float64
    unread : numpy.ndarray of int
        The numbers that were not read: those with an exponent, spaces behind them, too many digits
        or anything that is no number. Their values mean nothing.
    """
    characters = np.frombuffer(buffer, np.uint8)
    # Word k ends before character k + 8: whole words, wherever they begin.
    words = np.ndarray((len(buffer) - _WORD + 1,), np.dtype("<u8"), buffer, strides=(1,))
    first = characters[starts]
    negative = first == ord("-")
    signed = negative | (first == ord("+"))
    if signed.any():
        starts = starts + signed
    points = _points(characters, starts, ends)
    if points is None:
        fraction_length = np.zeros(1, np.intp)
        digits, wrong = _digits(words, starts, ends)
        length = ends - starts
    else:
        fraction_length = np.maximum(ends - points - 1, 0)
        digits, wrong = _digits(words, starts, points)
        fraction, wrong_too = _digits(words, points + 1, ends)
        wrong |= wrong_too
        whole_length = points - starts
        # A zero before the point is no digit that counts.
        length = np.where(digits > 0, whole_length, 0) + fraction_length
        wrong |= (whole_length > _MOST_DIGITS) | (whole_length + fraction_length == 0)
        digits = digits * _WHOLE_POWERS[np.minimum(fraction_length, _MOST_DIGITS)] + fraction
    wrong |= (ends <= starts) | (length > _MOST_DIGITS)
    values, unclear = _quotients(digits, _POWERS[np.minimum(fraction_length, _MOST_DIGITS)])
    return np.where(negative, -values, values), np.flatnonzero(wrong | unclear)


def _points(
    characters: npt.NDArray[np.uint8], starts: Positions, ends: Positions
) -> Positions | None:
    """Return where the point of each number is, its end if it has none; None if none has any."""
    if not len(starts):
        return None
    found: Positions = np.flatnonzero(characters[starts[0] : ends[-1]] == ord(".")) + starts[0]
    if not len(found):
        return None
    if len(found) == len(ends) and ((starts <= found) & (found < ends)).all():
        return found
    numbers = np.searchsorted(ends, found, side="right")
    # Characters outside the numbers are ignored.
    inside = found >= starts[numbers]
    points: Positions = ends.copy()
    points[numbers[inside]] = found[inside]
    return points


def _digits(words: Words, starts: Positions, ends: Positions) -> tuple[Words, Flags]:
    """Return the last 24 digits of each number as an integer, and whether one is no digit."""
    length = ends - starts
    value, wrong = _word(words[ends - _WORD], length)
    longest = int(length.max(initial=0))
    for number in (1, 2):
        if longest > number * _WORD:
            further, wrong_too = _word(words[ends - (number + 1) * _WORD], length - number * _WORD)
            value += further * _WHOLE_POWERS[number * _WORD]
            wrong |= wrong_too
    return value, wrong


def _word(word: Words, length: Positions) -> tuple[Words, Flags]:
    """Return the last `length` characters of words of 8 as integers, all of them if it is more."""
    word = word ^ _ZEROS
    # The first character is the lowest byte. A shift by 64 bits is none.
    outside = (np.clip(_WORD - length, 0, _WORD - 1) * 8).astype(np.uint64)
    word >>= outside
    word <<= outside
    word[length <= 0] = 0
    wrong = ((word + _ABOVE_NINE) | word) & _HIGH_BITS != 0
    word = (word * _u64(10) + (word >> _u64(8))) & _PAIRS
    word = (word * _u64(100) + (word >> _u64(16))) & _FOURS
    word = (word * _u64(10_000) + (word >> _u64(32))) & _EIGHTS
    return word, wrong


def _quotients(
    digits: Words, powers: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], Flags | Any]:
    """Return integers over powers of ten, correctly rounded, and which of them may not be."""
    high = digits.astype(np.float64)
    quotients = high / powers
    if not len(digits) or digits.max() < _u64(2**53):
        return quotients, np.False_
    low = (digits - high.astype(np.uint64)).view(np.int64).astype(np.float64)
    rest = _remainder(high, quotients, powers) + low
    # Wrong by less than 2**-103 of the quotient.
    correction = rest / powers
    margin = quotients * 2.0**-100
    nearest = quotients + (correction + margin)
    return nearest, nearest != quotients + (correction - margin)


def _remainder(
    dividend: npt.NDArray[np.float64],
    quotient: npt.NDArray[np.float64],
    divisor: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return ``dividend - quotient * divisor`` without rounding (Dekker, 1971)."""
    product = quotient * divisor
    scaled = _SPLITTER * quotient
    quotient_high = scaled - (scaled - quotient)
    quotient_low = quotient - quotient_high
    scaled = _SPLITTER * divisor
    divisor_high = scaled - (scaled - divisor)
    divisor_low = divisor - divisor_high
    error = quotient_high * divisor_high - product
    error += quotient_high * divisor_low + quotient_low * divisor_high
    error += quotient_low * divisor_low
    return (dividend - product) - error
