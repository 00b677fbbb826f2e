"""The Python functions of exported files, and their dependencies.

They need Python 3.8 and its standard library. A sample is a list of floats.
"""

from __future__ import annotations

from collections.abc import Iterable

_CALLS = {
    "activate_gelu": ("sigmoid",),
    "activate_silu": ("sigmoid",),
    "activate_sigmoid": ("sigmoid",),
    "convolve": ("windows",),
    "pool": ("windows",),
}
FUNCTIONS = {
    "dense": """\
def dense(x, weights, bias):
    \"\"\"Return x @ weights + bias; the weights are a row for each unit.\"\"\"
    return [sum(map(mul, x, row), start) for row, start in zip(weights, bias)]
""",
    "standardize": """\
def standardize(x, offset, scale):
    \"\"\"Return (x - offset) / scale.\"\"\"
    return [(value - o) / s for value, o, s in zip(x, offset, scale)]
""",
    "windows": """\
def windows(size):
    \"\"\"Yield the pixels under each window, as (place in the window, number of the pixel).\"\"\"
    height, width, out_height, out_width, rows, columns, step, margin = size
    for row in range(out_height):
        for column in range(out_width):
            places = []
            for i in range(rows):
                for j in range(columns):
                    down, right = row * step + i - margin, column * step + j - margin
                    if 0 <= down < height and 0 <= right < width:
                        places.append((i * columns + j, down * width + right))
            yield places
""",
    "convolve": """\
def convolve(x, size, channels, groups, weights, bias):
    \"\"\"Return a convolution; the weights are a row for each value of a patch.\"\"\"
    found = []
    inputs, outputs = channels // groups, len(bias) // groups
    for places in windows(size):
        sums = list(bias)
        for place, pixel in places:
            for channel in range(channels):
                group, own = divmod(channel, inputs)
                value = x[pixel * channels + channel]
                row = weights[place * inputs + own]
                for o in range(group * outputs, (group + 1) * outputs):
                    sums[o] += value * row[o]
        found += sums
    return found
""",
    "pool": """\
def pool(x, size, channels, largest):
    \"\"\"Return the largest value, or the mean, of each window.\"\"\"
    found = []
    for places in windows(size):
        for channel in range(channels):
            values = [x[pixel * channels + channel] for _, pixel in places]
            found.append(max(values) if largest else sum(values) / len(values))
    return found
""",
    "scale_shift": """\
def scale_shift(x, scale, shift):
    \"\"\"Scale and move each channel.\"\"\"
    n = len(scale)
    return [value * scale[i % n] + shift[i % n] for i, value in enumerate(x)]
""",
    "normalize": """\
def normalize(x, gain, bias):
    \"\"\"Normalize the channels of each pixel.\"\"\"
    found, n = [], len(gain)
    for start in range(0, len(x), n):
        pixel = x[start : start + n]
        mean = sum(pixel) / n
        spread = math.sqrt(sum((value - mean) ** 2 for value in pixel) / n + 1e-05)
        found += [(v - mean) / spread * g + b for v, g, b in zip(pixel, gain, bias)]
    return found
""",
    "encode": """\
def encode(x, kinds, sizes):
    \"\"\"Return the features of encoded columns.\"\"\"
    found = []
    for value, kind, size in zip(x, kinds, sizes):
        if kind == "number":
            found.append(value)
        elif kind == "pieces":
            found += [min(max(value - t, 0.0), 1.0) - 0.5 for t in range(size)]
        else:
            found += [float(value == t) for t in range(size)]
    return found
""",
    "embed": """\
def embed(x, columns, tables, numbers):
    \"\"\"Return a vector for each code, then the numbers.\"\"\"
    found = []
    for column, table in zip(columns, tables):
        found += table[int(x[column])]
    return found + [x[column] for column in numbers]
""",
    "sigmoid": """\
def sigmoid(z):
    \"\"\"Return 1 / (1 + exp(-z)).\"\"\"
    e = math.exp(-abs(z))
    return (1.0 if z >= 0 else e) / (1.0 + e)
""",
    "activate_sigmoid": """\
def activate_sigmoid(x):
    return [sigmoid(z) for z in x]
""",
    "activate_tanh": """\
def activate_tanh(x):
    return [math.tanh(z) for z in x]
""",
    "activate_relu": """\
def activate_relu(x):
    return [z if z > 0 else 0.0 for z in x]
""",
    "activate_leaky_relu": """\
def activate_leaky_relu(x):
    return [z if z > 0 else 0.01 * z for z in x]
""",
    "activate_elu": """\
def activate_elu(x):
    return [z if z > 0 else math.expm1(z) for z in x]
""",
    "activate_selu": """\
def activate_selu(x):
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return [scale * (z if z > 0 else alpha * math.expm1(z)) for z in x]
""",
    "activate_gelu": """\
def activate_gelu(x):
    found = []
    for z in x:
        inner = min(max(z, -25.0), 25.0)
        exponent = 2.0 * math.sqrt(2.0 / math.pi) * (inner + 0.044715 * inner**3)
        found.append(max(z, -25.0) * sigmoid(exponent))
    return found
""",
    "activate_silu": """\
def activate_silu(x):
    return [max(z, -1000.0) * sigmoid(z) for z in x]
""",
    "activate_softplus": """\
def activate_softplus(x):
    return [max(z, 0.0) + math.log1p(math.exp(-abs(z))) for z in x]
""",
    "activate_exp": """\
def activate_exp(x):
    return [math.exp(z) if z < 709 else math.inf for z in x]
""",
    "activate_softmax": """\
def activate_softmax(x):
    largest = max(x)
    found = [math.exp(z - largest) for z in x]
    total = sum(found)
    return [value / total for value in found]
""",
    # Columns of a table.
    "number_of": """\
def number_of(value):
    \"\"\"Return a number; NaN for what is missing.\"\"\"
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("", "nan", "<na>", "nat", "na", "n/a", "null", "none", "?", "-", "."):
            return math.nan
        if text in ("true", "false"):
            return float(text == "true")
    return math.nan if value is None else float(value)
""",
    "text_of": """\
def text_of(value):
    \"\"\"Return the text that a category goes by; "" for what is missing.\"\"\"
    if value is None or value != value:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(int(value)) if float(value).is_integer() else str(float(value))
    text = str(value).strip()
    return "" if text in ("nan", "NaN", "<NA>", "NaT") else text
""",
    "parts_of": """\
def parts_of(value):
    \"\"\"Return the parts of a date, or of text as ISO 8601 has it; NaN for what is missing.\"\"\"
    if value is None or value == "" or value != value:
        return dict.fromkeys(("time", "year", "month", "day", "weekday", "hour"), math.nan)
    if isinstance(value, str):
        text = value.strip()
        value = datetime.datetime.fromisoformat(text[:-1] if text.endswith("Z") else text)
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    midnight = value.replace(hour=0, minute=0, second=0, microsecond=0)
    hour = (value - midnight) / datetime.timedelta(hours=1)
    days = value.toordinal() - 719163
    return {
        "time": days + hour / 24, "year": value.year, "month": value.month, "day": value.day,
        "weekday": value.weekday(), "hour": hour,
    }
""",
    "scaled": """\
def scaled(value, centre, spread, edges, marked):
    \"\"\"Return what a network sees of a number: scaled, whether it is missing, its bin.\"\"\"
    missing = value != value
    value = centre if missing else 0.0 if abs(value) < SMALLEST else value
    z = (value / 2 - centre / 2) / spread
    length = math.hypot(1 / max(abs(z), SMALLEST), 1 / LIMIT)
    found = [math.copysign(1 / length, z) if z else 0.0]
    if marked:
        found.append(float(missing))
    if edges:
        value = min(max(value, edges[0]), edges[-1])
        number = min(max(bisect.bisect_right(edges, value) - 1, 0), len(edges) - 2)
        low, high = edges[number] / 2, edges[number + 1] / 2
        found.append(number + min(max((value / 2 - low) / (high - low), 0.0), 1.0))
    return found
""",
}


def functions_for(used: Iterable[str]) -> list[str]:
    """Return the text of functions and their dependencies."""
    wanted = set(used)
    for name in list(wanted):
        wanted.update(_CALLS.get(name, ()))
    return [text for name, text in FUNCTIONS.items() if name in wanted]
