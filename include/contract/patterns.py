"""Regular expressions (RE2) of the fields that are more than text."""

UUID7_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
# Every date that a calendar with 29 days in each February has, to the microsecond, with an offset of up to 18 hours.
TIME_PATTERN = (
    "^[0-9]{4}-(?:02-(?:0[1-9]|[12][0-9])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01]))"
    "[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?"
    "(?:Z|[+-](?:(?:0[0-9]|1[0-7]):[0-5][0-9]|18:00))$"
)
PRICE_PATTERN = "^-?[0-9]{1,10}(?:[.][0-9]{1,2})?$"
QUANTITY_PATTERN = "^[0-9]{1,4}$"
COUNTRY_PATTERN = "^[A-Z]{2}$"
