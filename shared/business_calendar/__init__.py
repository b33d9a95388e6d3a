"""Working time: pure arithmetic over business calendars."""
