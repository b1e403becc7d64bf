"""The 200,000 flights of the checksum in Python. Prints it."""
from math import radians, sin

SINES = [round(10_000 * sin(radians(degrees))) for degrees in range(91)]


def flight(camp, x, y, elevation, power):
    """Returns the steps of a flight without cannons, its end in units, and 1 if it ended at a side."""
    direction, sign = 1 - 2 * camp, 1 if elevation >= 0 else -1
    cosine, sine = SINES[90 - abs(elevation)], SINES[abs(elevation)]
    x, y = 1000 * x + direction * 3 * cosine, 1000 * y - sign * 3 * sine
    vx, vy = direction * (200 * power * cosine // 10_000), -sign * (200 * power * sine // 10_000)
    steps = 0
    while True:
        x, y, steps = x + vx, y + vy, steps + 1
        if y > 400_000 or not 0 <= x <= 700_000:
            return steps, x, y, int(y <= 400_000)
        vy += 400


def numbers(seed=1):
    while True:
        seed = (seed * 1103515245 + 12345) % 2**31
        yield seed >> 8


fingerprint, number = 2166136261, numbers().__next__
for _ in range(200_000):
    camp = number() % 2
    launch = camp, (420 if camp else 20) + number() % 261, 160 + number() % 221, number() % 101 - 15, 10 + number() % 91
    for word in flight(*launch):
        fingerprint = (fingerprint ^ word % 2**32) * 16777619 % 2**32
print(f"{fingerprint:08x}")
