"""Motion of one number: a Kalman filter of constant speed, in pure Python."""

from msgspec import Struct


class Habit(Struct, frozen=True):
    """Way in which a number is wont to change. All are standard deviations."""

    jitter: float
    """Error of a good measurement."""
    speed_s: float
    """Change in 1 s, as long as nothing is known."""
    push_s2: float
    """Change of the speed in 1 s."""


class Motion:
    """Number with its speed, each with what is not known of it."""

    def __init__(self, value: float, habit: Habit) -> None:
        self.value, self.speed_s = value, 0.0
        self._habit = habit
        self._var, self._cov, self._var_speed = habit.jitter**2, 0.0, habit.speed_s**2

    def var(self, blur: float = 1.0) -> float:
        """Return the variance of the next measurement about the value; `blur` is its error, in those of a good one."""
        return self._var + (blur * self._habit.jitter) ** 2

    def move(self, s: float) -> None:
        """Let `s` seconds pass."""
        push_var = self._habit.push_s2**2
        self.value += self.speed_s * s
        self._var += 2 * s * self._cov + s**2 * self._var_speed + push_var * s**4 / 4
        self._cov += s * self._var_speed + push_var * s**3 / 2
        self._var_speed += push_var * s**2

    def rest(self, spread: float) -> None:
        """Let much time pass: the speed is not known any more, and the value is off by as much as `spread`."""
        self.speed_s = self._cov = 0.0
        self._var, self._var_speed = self._var + spread**2, self._habit.speed_s**2

    def see(self, off: float, blur: float = 1.0) -> None:
        """Take in a measurement, which is off from the value by so much; `blur` is that of `var`."""
        var = self.var(blur)
        gain, gain_speed = self._var / var, self._cov / var
        self.value += gain * off
        self.speed_s += gain_speed * off
        self._var_speed -= gain_speed * self._cov
        self._cov *= 1 - gain
        self._var *= 1 - gain
