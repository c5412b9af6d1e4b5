package aggregator_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
)

var errDisk = errors.New("the disk says no")

// brittle is a log that fails at one Append, before or after the entry is durable. It remembers every certificate that
// it was shown, since a signature that exists counts, whether it was stored or not.
type brittle struct {
	*MemoryLog
	failAt  int // counts Appends from 1; 0 never
	durable bool
	calls   int
	shown   []*Certificate
}

func (l *brittle) Append(ctx context.Context, i uint64, e Entry) error {
	l.calls++
	if e.Final != nil {
		l.shown = append(l.shown, e.Final)
	}
	if l.calls != l.failAt {
		return l.MemoryLog.Append(ctx, i, e)
	}
	if l.durable {
		_ = l.MemoryLog.Append(ctx, i, e)
	}
	return errDisk
}

// play runs three workers through all rounds at a member, and opens the member again over the same log whenever the log
// fails. It returns every certificate that the last life handed out.
func play(t *testing.T, c *crowd, log *brittle) []*Certificate {
	t.Helper()
	var out []*Certificate
	for range 3 {
		out = nil
		member, err := NewMember(t.Context(), &c.manifest, c.committee[0], log, c.ids(3), func(x *Certificate) { out = append(out, x) })
		for n := Seq(1); n <= c.manifest.Schedule.Rounds() && err == nil; n++ {
			for i := range 3 {
				err = errors.Join(err, member.Do(t.Context(), func(r *Rounds) { _ = r.Offer(c.offer(i, n)) }))
			}
		}
		for i := 0; i < 3 && err == nil; i++ {
			err = member.Do(t.Context(), func(r *Rounds) { r.Reached(c.peers[i].ID, c.manifest.Schedule.Rounds(), root(9)) })
		}
		if err == nil {
			return out
		}
		if !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
	}
	t.Fatal("the log failed more than once")
	return nil
}

func names(cs []*Certificate) (out []Hash) {
	for _, c := range cs {
		out = append(out, c.Hash())
	}
	return out
}

// A member that dies at any write of its log, before or after the bytes are safe, goes on to the same chain, and never
// signs two bodies of one number, nor one that the log has not decided.
func TestMemberDiesAtEveryWrite(t *testing.T) {
	c := newCrowd(1, 1, 3, Schedule{Every: 2, Fragments: 2, Delay: 1, Steps: 4})
	whole := &brittle{MemoryLog: NewMemoryLog()}
	want := names(play(t, c, whole))
	if len(want) != 6 {
		t.Fatalf("%d certificates, want 6", len(want))
	}
	for at := 1; at <= whole.calls; at++ {
		for _, durable := range []bool{false, true} {
			log := &brittle{MemoryLog: NewMemoryLog(), failAt: at, durable: durable}
			if got := names(play(t, c, log)); !slices.Equal(got, want) {
				t.Errorf("write %d fails, durable %v: another chain", at, durable)
			}
			signed := map[Seq]Hash{}
			for _, x := range log.shown {
				if h, again := signed[x.Seq]; again && h != x.Hash() {
					t.Errorf("write %d fails, durable %v: two bodies signed for number %d", at, durable, x.Seq)
				}
				signed[x.Seq] = x.Hash()
			}
			if at%2 == 1 && !durable && len(log.shown) > 0 && len(log.shown) != len(want) {
				t.Errorf("write %d fails: %d signatures for %d certificates: one was signed before it was decided", at, len(log.shown), len(want))
			}
		}
	}
}

// If the certificate cannot be stored, the decision stands, whatever comes in later.
func TestDecisionStands(t *testing.T) {
	for _, durable := range []bool{false, true} {
		c := newCrowd(1, 1, 3, Schedule{Every: 1, Fragments: 1, Steps: 3})
		log := &brittle{MemoryLog: NewMemoryLog(), failAt: 4, durable: durable} // after the genesis and the first decision
		var out []*Certificate
		member, err := NewMember(t.Context(), &c.manifest, c.committee[0], log, c.ids(3), func(x *Certificate) { out = append(out, x) })
		if err != nil {
			t.Fatal(err)
		}
		err = member.Do(t.Context(), func(r *Rounds) {
			_ = r.Offer(c.offer(0, 1))
			_ = r.Offer(c.offer(1, 1))
			r.Elapse(1000)
		})
		if !errors.Is(err, errDisk) || len(out) != 1 {
			t.Fatalf("error %v, %d certificates out; want the disk's and the genesis", err, len(out))
		}
		if err := member.Do(t.Context(), func(r *Rounds) { _ = r.Offer(c.offer(2, 1)) }); err != nil {
			t.Fatal(err)
		}
		if len(log.shown) != 3 || log.shown[1].Hash() != log.shown[2].Hash() || len(out) != 2 || len(out[1].List) != 2 {
			t.Errorf("durable %v: %d signatures shown, %d certificates out", durable, len(log.shown), len(out))
		}
	}
}

// A decision that cannot be stored is not signed.
func TestNothingIsSignedUndecided(t *testing.T) {
	c := newCrowd(1, 1, 2, Schedule{Every: 1, Fragments: 1, Steps: 3})
	for _, durable := range []bool{false, true} {
		log := &brittle{MemoryLog: NewMemoryLog(), failAt: 1, durable: durable}
		_, err := NewMember(t.Context(), &c.manifest, c.committee[0], log, c.ids(2), func(*Certificate) { t.Error("a certificate came out") })
		if !errors.Is(err, errDisk) || len(log.shown) > 0 {
			t.Errorf("error %v, %d signatures", err, len(log.shown))
		}
	}
	twice := append(c.ids(2), c.peers[0].ID)
	log := &brittle{MemoryLog: NewMemoryLog()}
	if _, err := NewMember(t.Context(), &c.manifest, c.committee[0], log, twice, func(*Certificate) {}); !errors.Is(err, ErrInvalid) || log.calls > 0 {
		t.Errorf("a genesis with one worker twice: error %v, %d entries written", err, log.calls)
	}
}

// A log that says what no member wrote is not signed on.
func TestMemberRefusesADamagedLog(t *testing.T) {
	c := newCrowd(1, 1, 2, Schedule{Every: 1, Fragments: 1, Steps: 3})
	genesis := c.genesis(2)
	other := c.genesis(1)
	stray := genesis.Body
	stray.Seq = 5
	for name, entries := range map[string][]Entry{
		"certificate first":        {{Final: genesis}},
		"another certificate":      {{Decide: &genesis.Body}, {Final: other}},
		"two decisions":            {{Decide: &genesis.Body}, {Decide: &other.Body}},
		"decision out of the blue": {{Decide: &stray}},
	} {
		log := NewMemoryLog()
		for i, e := range entries {
			if err := log.Append(t.Context(), uint64(i+1), e); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := NewMember(t.Context(), &c.manifest, c.committee[0], log, c.ids(2), func(*Certificate) {}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if n, _ := log.Last(); n != uint64(len(entries)) {
			t.Errorf("%s: the member wrote on", name)
		}
	}
}
