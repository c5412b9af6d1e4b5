package checkpoint

import (
	"encoding/json"
	"fmt"
	"io/fs"
)

// PinNameOf is the name under which the checkpoint in a folder is pinned, here and at services: that of its run and round. It
// checks nothing.
func PinNameOf(folder fs.FS) (string, error) {
	r := reader{folder: folder}
	b, err := r.small(fileState)
	if err != nil {
		return "", err
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrMalformed, fileState, err)
	}
	return PinName(s.Run, s.Seq), nil
}
