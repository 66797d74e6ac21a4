"""Words of pictures of people, in English and Korean."""

from collections.abc import Sequence
from typing import Any

from pipeline.messages import DECADES
from players.reports.drawing import left_out

_ENGLISH = {
    "of those before": "{:.0f} % of those before",
    "told": "Numbers are in tens; fewer than 10 people are not told.",
    "measured": "{:.0f} % of the time was measured.",
}
_KOREAN = {
    "people": "사람 수", "watchers": "주목한 사람", "hour": "시", "day": "날짜", "weekday": "요일", "gender": "성별",
    "decade": "연령대", "site": "장소", "camera": "카메라", "screen": "화면", "unknown": "미상",
    "M": "남성", "F": "여성", "men": "남성", "women": "여성",
    "mon": "월", "tue": "화", "wed": "수", "thu": "목", "fri": "금", "sat": "토", "sun": "일",
    "Audience by weekday and hour": "요일과 시간대별 방문자", "Audience by age and gender": "성별과 연령대별 방문자",
    "From an opportunity to see to a look": "노출 기회에서 주목까지", "opportunity to see": "노출 기회 (1초 이상)",
    "watched": "주목", "watched for 2 s": "2초 이상 주목", "age unknown": "연령 미상", "gender unknown": "성별 미상",
    "expected": "예상", "9 of 10 cases": "열에 아홉은 이 범위", "Audience": "방문자", "Forecast": "예상 방문자",
    "of those before": "이전 단계의 {:.0f} %",
    "told": "사람 수는 10명 단위이며 10명 미만은 표시하지 않습니다.", "measured": "측정된 시간: {:.0f} %",
    "Holidays and events are not known.": "공휴일과 행사는 반영되지 않습니다.",
}  # fmt: skip
_BY_IN_KOREAN = {
    "hour": "시간대별", "weekday": "요일별", "day": "날짜별", "gender": "성별", "decade": "연령대별", "site": "장소별",
    "camera": "카메라별", "screen": "화면별",
}  # fmt: skip


class Words:
    """Words of a language."""

    def __init__(self, language: str) -> None:
        """Take `en` or `ko`."""
        self.korean = language == "ko"
        self._words = _KOREAN if self.korean else _ENGLISH

    def __call__(self, text: Any) -> str:
        """Return a word, a dimension, a value or a sentence in the language."""
        text = str(text)
        if text in DECADES:
            text = text.replace("-", "–")
            return f"{text}세" if self.korean and text != "80+" else "80세 이상" if self.korean else text
        return self._words.get(text, text)

    def title(self, what: str, names: Sequence[str]) -> str:
        """Return the title of a picture of `Audience` or `Forecast` by these dimensions."""
        if self.korean:
            return f"{' · '.join(_BY_IN_KOREAN[name] for name in names)} {self(what)}"
        return f"{what} by {' and '.join(names)}"

    def left_out(self, most: int, rows: int) -> tuple[str, ...]:
        """Return what is to be said where only the first rows are drawn."""
        if self.korean and rows > most:
            return (f"전체 {rows}행 중 처음 {most}행입니다.",)
        return left_out(min(rows, most), rows)
