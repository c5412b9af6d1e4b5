package swarm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/skein-train/skein/aggregator"
)

// kind says what the body of a message is.
type kind uint8

const (
	kindCertificate kind = 1 + iota // aggregator.Certificate
	kindReport                      // notice: the root reached
	kindJoin                        // notice: asks to be admitted
	kindLeave                       // notice: says goodbye
	kindHeader                      // aggregator.SignedHeader
	kindPayload                     // signed header ‖ payload
	kindParts                       // partsList
	kindTook                        // notice: the partner's payload is here
)

// The envelope around every gossipsub message: magic, version, kind, run. docs/wire.md, "Swarm messages".
const (
	envelopeMagic   = "SKM1"
	envelopeVersion = 1
	envelopeSize    = 4 + 2 + 1 + 32

	inlineLimit    = 4 << 10                              // bytes of a payload that still travels inside a message: gossipsub sends every message along every mesh, some five times as often as it is needed
	maxMessageSize = aggregator.MaxCertificateSize + 4096 // bytes of a gossipsub message
)

// errOtherRun says that bytes belong to another run: its members are honest, we just have no business with them.
var errOtherRun = errors.New("message of another run")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{aggregator.ErrMalformed}, args...)...)
}

// seal puts a body into an envelope.
func seal(k kind, run aggregator.Hash, body ...[]byte) []byte {
	size := envelopeSize
	for _, b := range body {
		size += len(b)
	}
	out := append(make([]byte, 0, size), envelopeMagic...)
	out = binary.LittleEndian.AppendUint16(out, envelopeVersion)
	out = append(append(out, byte(k)), run[:]...)
	for _, b := range body {
		out = append(out, b...)
	}
	return out
}

// unseal takes a message of the given run out of its envelope.
func unseal(b []byte, run aggregator.Hash) (kind, []byte, error) {
	if len(b) < envelopeSize || len(b) > maxMessageSize || string(b[:4]) != envelopeMagic {
		return 0, nil, malformed("no swarm message, %d bytes", len(b))
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != envelopeVersion {
		return 0, nil, malformed("swarm message of version %d, this program reads %d", v, envelopeVersion)
	}
	if aggregator.Hash(b[7:envelopeSize]) != run {
		return 0, nil, errOtherRun
	}
	return kind(b[6]), b[envelopeSize:], nil
}

// notice is what a worker tells the committee about itself and what it has. Its number dates it: old notices are not obeyed.
type notice struct {
	kind kind
	from aggregator.PeerID
	seq  aggregator.Seq  // report: the round whose root it is; took: the payload's round; join and leave: the sender's last certificate
	root aggregator.Hash // report: the root; took: the payload; zero otherwise
	sig  aggregator.Signature
}

const (
	noticeSize   = 32 + 8 + 32 + 64
	noticeDomain = "skein/notice/1\x00"
)

// signed is what the signature covers: kind, run and the fields.
func (n *notice) signed(run aggregator.Hash) []byte {
	out := append([]byte{byte(n.kind)}, run[:]...)
	out = append(out, n.from[:]...)
	out = binary.LittleEndian.AppendUint64(out, uint64(n.seq))
	return append(out, n.root[:]...)
}

func (n *notice) sign(s aggregator.Signer, run aggregator.Hash) {
	n.from = s.ID
	n.sig = s.Sign(noticeDomain, n.signed(run))
}

func (n *notice) encode() []byte {
	out := append(make([]byte, 0, noticeSize), n.from[:]...)
	out = binary.LittleEndian.AppendUint64(out, uint64(n.seq))
	return append(append(out, n.root[:]...), n.sig[:]...)
}

// decodeNotice reads a notice and checks its signature.
func decodeNotice(k kind, run aggregator.Hash, b []byte) (*notice, error) {
	if len(b) != noticeSize {
		return nil, malformed("notice of %d bytes, %d expected", len(b), noticeSize)
	}
	n := &notice{
		kind: k, from: aggregator.PeerID(b), seq: aggregator.Seq(binary.LittleEndian.Uint64(b[32:])),
		root: aggregator.Hash(b[40:]), sig: aggregator.Signature(b[72:]),
	}
	if k != kindReport && k != kindTook && n.root != (aggregator.Hash{}) {
		return nil, malformed("a hash in a notice that has none")
	}
	if !n.from.Verify(noticeDomain, n.signed(run), n.sig) {
		return nil, malformed("notice is not signed by %v", n.from)
	}
	return n, nil
}
