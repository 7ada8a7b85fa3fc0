"""Old studies leave the centre, when somebody said after how long."""
