package cli

import (
	"encoding/json"
)

// summary is summary.json: what a finished run was, and what it came to. Byte counts are the mean of the local
// workers, taken from their sockets, so that they compare with ddp_bytes, which counts for one worker too.
type summary struct {
	Name                string   `json:"name"`
	RunID               string   `json:"run_id"`
	Method              string   `json:"method"`
	Engine              string   `json:"engine"`
	Workers             int      `json:"workers"`
	Params              int      `json:"params"`
	Tokens              uint64   `json:"tokens"`
	InnerSteps          uint64   `json:"inner_steps"`
	Rounds              uint64   `json:"rounds"`
	TrainLoss           float64  `json:"train_loss"` // last round, nats per token
	ValLoss             *float64 `json:"val_loss"`   // whole validation split, nats per token; null without one
	BytesSent           uint64   `json:"bytes_sent"`
	BytesReceived       uint64   `json:"bytes_received"`
	CommitteeSent       uint64   `json:"committee_bytes_sent"`
	CommitteeReceived   uint64   `json:"committee_bytes_received"`
	PayloadBytes        uint64   `json:"payload_bytes"` // uploaded by one worker over the whole run, before the protocol around it
	BitsPerParamPerSync float64  `json:"bits_per_param_per_sync"`
	BitsPerParamPerStep float64  `json:"bits_per_param_per_step"`
	DDPBytes            uint64   `json:"ddp_bytes"` // 2(M−1)/M · 2 bytes · params · steps: a ring all-reduce in bf16
	CheckpointCID       string   `json:"checkpoint_cid"`
	StateHash           string   `json:"state_hash"` // root of the shared state after the last round
	WallS               float64  `json:"wall_s"`
	TokensPerS          float64  `json:"tokens_per_s"`
	PeakMemory          uint64   `json:"peak_memory"` // bytes resident in the last life, on Linux; else 0
}

// ddpBytes is what one of m workers would send, had they trained data parallel: a ring all-reduce in bf16 every step.
func ddpBytes(m, params int, steps uint64) uint64 {
	return 2 * uint64(m-1) * 2 * uint64(params) * steps / uint64(m)
}

// writeSummary writes what a run came to.
func writeSummary(path string, s any) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}
