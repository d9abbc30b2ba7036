"""What lies in a user's model folders and running programs: found, remembered, and chosen among."""
