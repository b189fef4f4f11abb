"""The stream without Spark, in the order in which a file passes through it.

``intake`` admits files from the landing folder, ``reading`` turns bytes into records, ``validation`` checks rows
against the contract, ``storage`` stores a batch in one transaction, and ``supervision`` watches over the driver.

A room imports only from the rooms that ``tests/unit/test_architecture.py`` lists for it.
"""
