"""Define the regular expressions (RE2) of the fields that are not free text."""

UUID7_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
# Accepts February 29 in every year; include.contract.fields rejects it outside leap years.
_DATE = (
    "[0-9]{4}-(?:02-(?:0[1-9]|[12][0-9])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01]))"
)
_HOUR_AND_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
# Arrow parses these forms directly. The offset is at most 18 hours.
TIME_PATTERN = (
    f"^{_DATE}[T ]{_HOUR_AND_MINUTE}(?::[0-5][0-9](?:[.][0-9]{{1,6}})?)?"
    "(?:Z|[+-](?:(?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|18(?::?00)?))$"
)
# Other accepted forms of a time. TIME_DECIMALS matches their decimals, which may follow a comma and may have zeros
# after the sixth decimal.
ODD_TIME_PATTERN = TIME_PATTERN.replace("[.][0-9]{1,6}", "[.,][0-9]{1,6}0*")
TIME_DECIMALS = "[.,]([0-9]{1,6})0*"
PRICE_PATTERN = "^-?[0-9]{1,10}(?:[.][0-9]{1,2})?$"
QUANTITY_PATTERN = "^[0-9]{1,4}$"
COUNTRY_PATTERN = "^[A-Z]{2}$"
