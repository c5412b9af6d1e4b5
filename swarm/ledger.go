package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/skein-train/skein/aggregator"
)

// errGap says that a certificate does not follow the tip because others are missing in between.
var errGap = errors.New("certificates are missing before this one")

// ledger is the log of certificates as one node knows it: checked, in order, and kept on disk for ever. The file is a row
// of certificates, each with its length before it as a uint32; a torn end is cut off when it is opened.
type ledger struct {
	mu    sync.Mutex
	chain *aggregator.Chain
	file  *os.File
	ends  []int64       // ends[i]: where certificate i ends in the file
	grown chan struct{} // closed and replaced at every addition
}

func openLedger(dir string, m *aggregator.Manifest) (*ledger, error) {
	f, err := os.OpenFile(filepath.Join(dir, "certificates"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("swarm: certificates: %w", err)
	}
	l := &ledger{chain: aggregator.NewChain(m), file: f, grown: make(chan struct{})}
	for {
		cert, err := l.read(len(l.ends))
		if err == nil {
			err = l.chain.Add(cert)
		}
		if err != nil { // the end, a torn record, or damage: what lies behind is fetched again
			return l, f.Truncate(l.size())
		}
		l.ends = append(l.ends, l.size()+4+int64(len(cert.Encode())))
	}
}

func (l *ledger) size() int64 {
	if len(l.ends) == 0 {
		return 0
	}
	return l.ends[len(l.ends)-1]
}

// read takes certificate i off the file.
func (l *ledger) read(i int) (*aggregator.Certificate, error) {
	b, err := l.readBytes(i)
	if err != nil {
		return nil, err
	}
	c, err := aggregator.DecodeCertificate(b)
	return &c, err
}

func (l *ledger) readBytes(i int) ([]byte, error) {
	var at int64
	if i > 0 {
		at = l.ends[i-1]
	}
	var size [4]byte
	if _, err := l.file.ReadAt(size[:], at); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > aggregator.MaxCertificateSize {
		return nil, malformed("certificate of %d bytes on disk", n)
	}
	b := make([]byte, n)
	_, err := l.file.ReadAt(b, at+4)
	return b, err
}

// add checks a certificate and makes it the tip. known reports that it is in the log already; errGap asks to catch up.
func (l *ledger) add(c *aggregator.Certificate) (known bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := aggregator.Seq(len(l.ends)); c.Seq > n {
		return false, errGap
	} else if c.Seq < n {
		return true, l.same(c)
	}
	if err := l.chain.Add(c); err != nil {
		return false, err
	}
	b := c.Encode()
	record := append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...)
	if _, err := l.file.WriteAt(record, l.size()); err != nil {
		return false, fmt.Errorf("swarm: certificates: %w", err)
	}
	l.ends = append(l.ends, l.size()+int64(len(record)))
	close(l.grown)
	l.grown = make(chan struct{})
	return false, nil
}

// same refuses a certificate that differs from the one in its place. Its signatures may differ: they are outside of the body.
func (l *ledger) same(c *aggregator.Certificate) error {
	have, err := l.read(int(c.Seq))
	if err != nil {
		return fmt.Errorf("swarm: certificates: %w", err)
	}
	if have.Hash() != c.Hash() {
		return fmt.Errorf("%w %d: another one is in the log", aggregator.ErrInvalid, c.Seq)
	}
	return nil
}

// tip is the last certificate; nil before the genesis.
func (l *ledger) tip() *aggregator.Certificate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chain.Tip()
}

// seated reports whether a worker is in the roster after the tip.
func (l *ledger) seated(p aggregator.PeerID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.chain.Roster().Slot(p)
	return ok
}

// partner is who exchanges round n with a worker, if that is known by now: the zero peer otherwise.
func (l *ledger) partner(p aggregator.PeerID, n aggregator.Seq) (q aggregator.PeerID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tip := l.chain.Tip(); tip != nil && tip.Seq+1 == n {
		q, _ = l.chain.Partner(p)
	}
	return q
}

// members are the roster after the tip, and the committee.
func (l *ledger) members() map[aggregator.PeerID]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[aggregator.PeerID]bool{}
	for _, p := range append(l.chain.Roster().Peers(), l.chain.Manifest().Committee...) {
		out[p] = true
	}
	return out
}

// workers is the size of the roster after the tip.
func (l *ledger) workers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.chain.Roster().Slots())
}

// checkHeader is Chain.CheckHeader.
func (l *ledger) checkHeader(h *aggregator.SignedHeader) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chain.CheckHeader(h)
}

// answered is Chain.Answered; nothing is before the genesis.
func (l *ledger) answered(h *aggregator.SignedHeader) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chain.Tip() != nil && l.chain.Answered(h)
}

// closed reports whether the run is over.
func (l *ledger) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chain.Closed()
}

// get waits for certificate n.
func (l *ledger) get(ctx context.Context, n aggregator.Seq) (*aggregator.Certificate, error) {
	for {
		l.mu.Lock()
		grown, have := l.grown, aggregator.Seq(len(l.ends))
		if n < have {
			defer l.mu.Unlock()
			if tip := l.chain.Tip(); tip.Seq == n {
				return tip, nil
			}
			return l.read(int(n))
		}
		l.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// dump writes the records from certificate n on, at most limit bytes of them, as they are in the file.
func (l *ledger) dump(w io.Writer, n uint64, limit int64) error {
	l.mu.Lock()
	var records []byte
	for i := n; i < uint64(len(l.ends)) && int64(len(records)) < limit; i++ {
		b, err := l.readBytes(int(i))
		if err != nil {
			l.mu.Unlock()
			return err
		}
		records = append(binary.LittleEndian.AppendUint32(records, uint32(len(b))), b...)
	}
	l.mu.Unlock()
	_, err := io.Copy(w, bytes.NewReader(records))
	return err
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
