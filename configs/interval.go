package configs

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// interval is a range tag such as "[1,512]" or "(0,1]": square brackets include the bound, round ones do not.
type interval struct {
	lo, hi         float64
	loOpen, hiOpen bool
	text           string
}

// intervalOf reads a field's range tag; ok is false if there is none. Tags are constants of this package, so that a
// malformed one is a programming error, which the tests find.
func intervalOf(tag reflect.StructTag) (in interval, ok bool) {
	s := tag.Get("range")
	if s == "" {
		return interval{}, false
	}
	lo, hi, found := strings.Cut(s[1:len(s)-1], ",")
	if !found {
		panic("configs: malformed range " + s)
	}
	return interval{bound(lo), bound(hi), s[0] == '(', s[len(s)-1] == ')', s}, true
}

func bound(s string) float64 {
	if d, err := time.ParseDuration(s); err == nil && s != "0" {
		return float64(d)
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("configs: malformed bound " + s)
	}
	return x
}

func (in interval) holds(x float64) bool {
	return (x > in.lo || !in.loOpen && x == in.lo) && (x < in.hi || !in.hiOpen && x == in.hi)
}

// outside says what is wrong with the numbers in v, or "".
func (in interval) outside(v reflect.Value) string {
	if v.Kind() == reflect.Array {
		for i := range v.Len() {
			if bad := in.outside(v.Index(i)); bad != "" {
				return bad
			}
		}
		return ""
	}
	x := 0.0
	switch {
	case v.CanInt():
		x = float64(v.Int())
	case v.CanUint():
		x = float64(v.Uint())
	default:
		x = v.Float()
	}
	if in.holds(x) {
		return ""
	}
	return fmt.Sprintf("%s is out of range %s", show(v), in.text)
}
