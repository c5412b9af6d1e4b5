package codecname_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/internal/codecname"
	"pgregory.net/rapid"
)

func TestNamesByHand(t *testing.T) {
	for name, want := range map[string]codecname.Name{
		"int8":                 {Values: "int8"},
		"f32+zstd":             {Values: "f32", Zstd: true},
		"topk:64/4096+2bit":    {What: "topk", Count: 64, Of: 4096, Values: "2bit"},
		"topk:64/64x64+int8":   {What: "topk", Count: 64, Of: 64, Tiles: true, Values: "int8"},
		"mask:1/20+int8+zstd":  {What: "mask", Count: 1, Of: 20, Values: "int8", Zstd: true},
		"dct:4096/64+f32":      {What: "dct", Count: 4096, Of: 64, Values: "f32"},
		"lowrank:8+bf16":       {What: "lowrank", Count: 8, Values: "bf16"},
		"topk:1/1+1bit":        {What: "topk", Count: 1, Of: 1, Values: "1bit"},
		"topk:65536/65536+f32": {What: "topk", Count: 65536, Of: 65536, Values: "f32"},
	} {
		got, err := codecname.Parse(name)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	for name, say := range map[string]string{
		"":                                    `"" is not one of f32, bf16`,
		"int9":                                "topk:64/4096+2bit",
		"int8 ":                               `"int8 " is not one of`,
		"INT8":                                "not one of",
		"zstd":                                "not one of",
		"+int8":                               `"" is not one of topk`,
		"int8+":                               `"" is not one of f32`,
		"topk:64/4096":                        "add one of +f32",
		"topk:64/4096+zstd":                   "add one of +f32",
		"lowrank":                             "add one of +f32",
		"topk+2bit":                           "expected topk:K/C or topk:K/SxS",
		"topk:64+2bit":                        "expected topk:K/C or topk:K/SxS",
		"topk:64/+2bit":                       "expected topk:K/C or topk:K/SxS",
		"topk:/64+2bit":                       "whole numbers from 1",
		"topk:064/4096+2bit":                  "whole numbers from 1",
		"topk:-1/4096+2bit":                   "whole numbers from 1",
		"topk:0/4096+2bit":                    "whole numbers from 1",
		"topk:64/4096.0+2bit":                 "whole numbers from 1",
		"topk:5000/4096+2bit":                 "5000 is more than 4096",
		"topk:64/65537+2bit":                  "65537 is more than 65536",
		"topk:64/64x32+2bit":                  "tiles are square",
		"topk:64/65x65+2bit":                  "65 is more than 64",
		"mask:2/1+int8":                       "2 is more than 1",
		"mask:20+int8":                        "expected mask:P/Q",
		"dct:4097/64+f32":                     "4097 is more than 4096",
		"dct:32/64x64+f32":                    "whole numbers from 1",
		"lowrank:257+f32":                     "257 is more than 256",
		"lowrank:8/2+f32":                     "whole numbers from 1",
		"topc:64/4096+2bit":                   `"topc" is not one of topk, mask`,
		"topk:64/4096+2bit+gzip":              "too many parts",
		"mask:1/2+topk:1/2+2bit":              "too many parts",
		"topk:64/4096+2bit+zstd+":             "too many parts",
		"topk:99999999999999999999/4096+2bit": "whole numbers from 1",
	} {
		_, err := codecname.Parse(name)
		if e := new(codecname.Error); !errors.As(err, &e) || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: got error %v, want it to say %q", name, err, say)
		}
	}
}

func TestErrorsNameTheChoices(t *testing.T) {
	for name, want := range map[string]string{"in8": "int8", "topc:1/2+f32": "topk", "f32+zst": "", "topk:1/2+f32+zst": "zstd"} {
		_, err := codecname.Parse(name)
		var e *codecname.Error
		if !errors.As(err, &e) || want != "" && !slices.Contains(e.Options, want) {
			t.Errorf("%s: options %v lack %s", name, e.Options, want)
		}
	}
}

// What parses is written back letter by letter, so that a codec has one name, and matches the pattern.
func TestNamesRoundTrip(t *testing.T) {
	pattern := regexp.MustCompile(codecname.Pattern())
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(codecname.Pattern()).Draw(t, "name")
		n, err := codecname.Parse(name)
		if err == nil && (n.String() != name || !pattern.MatchString(name)) {
			t.Fatalf("%q is %+v, which is written %q", name, n, n)
		}
	})
	for _, name := range codecname.Examples() {
		if n, err := codecname.Parse(name); err != nil || n.String() != name || !pattern.MatchString(name) {
			t.Errorf("%s: %q %v", name, n, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range codecname.Examples() {
		f.Add(name)
	}
	pattern := regexp.MustCompile(codecname.Pattern())
	f.Fuzz(func(t *testing.T, name string) {
		if n, err := codecname.Parse(name); err == nil && (n.String() != name || !pattern.MatchString(name)) {
			t.Fatalf("%q is written %q", name, n)
		}
	})
}
