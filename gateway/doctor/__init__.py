"""kyosei doctor: what keeps a gateway from running well. It changes nothing."""
