package engine

// Apart is an Engine whose memory is its device's, not the host's.
type Apart interface {
	// Memory is what the device has free and in all, in bytes; 0 and 0 if it does not say.
	Memory() (free, total int64)
}
