"""Intake: files of the landing folder, from their arrival to the archive or the quarantine.

``arrivals`` lists complete files, ``admission`` records them in ``shop.files`` and plans batches, ``landing`` names the
folders, and ``put_away`` moves finished files. May import ``reading`` and ``supervision``.
"""
