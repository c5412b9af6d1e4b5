package aggregator

// BeaconAfter lets a test spoil a body and put its beacon right again.
func BeaconAfter(tip *Certificate, b *Body) Hash { return beacon(tip.Beacon, b) }
