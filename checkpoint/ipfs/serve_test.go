package ipfs

import "testing"

func TestServeWantsASource(t *testing.T) {
	if _, err := Serve(openMemory(t), nil); err == nil {
		t.Error("a store, which has an exchange of its own, was served a second time")
	}
}
