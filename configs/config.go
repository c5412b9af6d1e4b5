// Package configs is the run file: what a run is, as data. A Config comes from four layers, each over the one before:
// the defaults, the YAML file, the environment (SKEIN_SYNC_EVERY=40) and overrides on the command line
// (sync.every=40). Every layer is checked alike, and all mistakes are reported at once, each at its place.
package configs

import "time"

// Config is one run. The tags are the single description of a field: doc explains it to people and editors, range is
// the interval that it must lie in, enum lists what it may be, form names a grammar, later what is planned but refused for
// now, and local marks what concerns one machine only and is not told to others.
type Config struct {
	Name       string     `yaml:"name" doc:"name of the run and of its folder under runs/"`
	Seed       uint64     `yaml:"seed" doc:"seed of the initial parameters and of the order of the data"`
	Model      Model      `yaml:"model" doc:"the model's architecture; names as in Hugging Face's config.json"`
	Data       Data       `yaml:"data" doc:"what the model reads"`
	Inner      Inner      `yaml:"inner" doc:"the inner optimizer, which every worker runs on its own"`
	Outer      Outer      `yaml:"outer" doc:"the outer optimizer, which the swarm runs together"`
	Sync       Sync       `yaml:"sync" doc:"when and how the workers exchange"`
	Train      Train      `yaml:"train" doc:"how long and on what each worker computes"`
	Swarm      Swarm      `yaml:"swarm" doc:"this machine's part of the swarm"`
	Checkpoint Checkpoint `yaml:"checkpoint" doc:"what is kept on disk"`
	Eval       Eval       `yaml:"eval" doc:"validation during the run"`
}

// Model is a decoder-only transformer of the Llama family.
type Model struct {
	Arch              string  `yaml:"arch" enum:"llama" doc:"family of the architecture"`
	HiddenSize        int     `yaml:"hidden_size" range:"[2,65536]" doc:"width of the residual stream"`
	IntermediateSize  int     `yaml:"intermediate_size" range:"[1,262144]" doc:"width of the SwiGLU feed-forward layer"`
	NumHiddenLayers   int     `yaml:"num_hidden_layers" range:"[1,512]" doc:"number of blocks"`
	NumAttentionHeads int     `yaml:"num_attention_heads" range:"[1,1024]" doc:"query heads of each block"`
	NumKeyValueHeads  int     `yaml:"num_key_value_heads" range:"[1,1024]" doc:"key and value heads of each block (grouped-query attention)"`
	VocabSize         int     `yaml:"vocab_size" range:"[0,1048576]" doc:"rows of the embedding; 0 takes the tokenizer's"`
	MaxPositions      int     `yaml:"max_position_embeddings" range:"[0,131072]" doc:"most tokens of context that the rotary embedding is meant for; 0 takes data.seq_len"`
	TieWordEmbeddings bool    `yaml:"tie_word_embeddings" doc:"use the embedding as output head too"`
	QKNorm            bool    `yaml:"qk_norm" doc:"normalise queries and keys, head by head (exported as Qwen 3 instead of Llama)"`
	RopeTheta         float64 `yaml:"rope_theta" range:"(0,1e9]" doc:"base of the rotary position embedding"`
	RMSNormEps        float64 `yaml:"rms_norm_eps" range:"(0,0.1]" doc:"added to the mean square in RMSNorm"`
}

// Data names a corpus and says how it is cut.
type Data struct {
	Source      string  `yaml:"source" local:"yes" doc:"a named corpus (enwik7, opticks), or files and globs of text, separated by spaces"`
	Tokenizer   string  `yaml:"tokenizer" enum:"byte|gpt2" doc:"byte has 256 tokens, gpt2 has 50257"`
	SeqLen      int     `yaml:"seq_len" range:"[1,131072]" doc:"tokens of context in a sequence"`
	ValFraction float64 `yaml:"val_fraction" range:"[0,0.5]" doc:"part of the tokens, at the end, that is kept for validation"`
}

// Inner is the optimizer of the inner steps. Under method ddp it is the outer one.
type Inner struct {
	Optimizer   string     `yaml:"optimizer" enum:"adamw|muon" doc:"adamw (arXiv:1711.05101), or muon: Muon on the matrices of the blocks and adamw on embedding, head and norms"`
	LR          float64    `yaml:"lr" range:"(0,10]" doc:"peak learning rate"`
	Betas       [2]float64 `yaml:"betas" range:"[0,1)" doc:"decay of Adam's first and second moment, per step"`
	Eps         float64    `yaml:"eps" range:"(0,1]" doc:"added to Adam's denominator"`
	Momentum    float64    `yaml:"momentum" range:"[0,1)" doc:"Muon's momentum; unused by adamw"`
	WeightDecay float64    `yaml:"weight_decay" range:"[0,10]" doc:"decoupled weight decay of the matrices"`
	WarmupSteps int        `yaml:"warmup_steps" range:"[0,1e9]" doc:"inner steps of linear warm-up"`
	Schedule    string     `yaml:"schedule" enum:"cosine|wsd|constant" doc:"learning rate after the warm-up: cosine decay, warm-up-stable-decay, or constant"`
	DecaySteps  int        `yaml:"decay_steps" range:"[0,1e9]" doc:"inner steps of linear decay at the end, for schedule wsd; 0 takes a fifth of the run"`
	MinLRRatio  float64    `yaml:"min_lr_ratio" range:"[0,1]" doc:"learning rate at the last step, as a part of the peak"`
	ZLoss       float64    `yaml:"z_loss" range:"[0,1]" doc:"coefficient of the z-loss, which keeps the head's logits from drifting; 0 is off, 1e-4 is usual"`
	GradClip    float64    `yaml:"grad_clip" range:"[0,1e9]" doc:"largest global norm of a worker's gradient; 0 does not clip"`
	Joiners     string     `yaml:"joiners" enum:"rewarm|copy" doc:"the optimizer's moments in a worker that joins under way: rewarm starts from zero with a learning rate that rises over half a round; copy takes a peer's"`
}

// Outer is the method and the optimizer applied to the averaged contributions.
type Outer struct {
	Method    string  `yaml:"method" enum:"diloco|ddp|fedavg|sparseloco|muloco|eager|noloco|async|elastic|demo" doc:"training method: many inner steps between exchanges (diloco and its family), or every gradient exchanged (ddp, demo); docs/methods"`
	Optimizer string  `yaml:"optimizer" enum:"nesterov|sgd|adamw|sign" doc:"nesterov or sgd; ddp: adamw with the settings of inner; demo: sign"`
	LR        float64 `yaml:"lr" range:"(0,10]" doc:"outer learning rate; unused by ddp"`
	Momentum  float64 `yaml:"momentum" range:"[0,1)" doc:"outer momentum; unused by ddp and sgd"`
	Average   string  `yaml:"average" enum:"all|senders" doc:"what a sum of sparse contributions is divided by, place by place: all who are counted, or the senders of that place"`
	Delayed   int     `yaml:"delayed" range:"[0,4096]" doc:"contributions that share one step of the momentum, for method async: the number of workers (arXiv:2401.09135); 0 moves it with each"`
}

// Sync is the rhythm of the exchange.
type Sync struct {
	Every         int           `yaml:"every" range:"[1,1e6]" doc:"inner steps between two departures of the same fragment (H)"`
	Fragments     int           `yaml:"fragments" range:"[1,512]" doc:"parts that the model is exchanged in, one after the other"`
	Delay         int           `yaml:"delay" range:"[0,1e6]" doc:"inner steps between a departure and its landing (arXiv:2501.18512, tau)"`
	Blend         float64       `yaml:"blend" range:"[0,1]" doc:"part of its own parameters that a worker keeps at a landing (arXiv:2501.18512, alpha)"`
	Codec         string        `yaml:"codec" form:"codec" doc:"what of a contribution is sent and how: [topk:K/C|topk:K/SxS|mask:P/Q|dct:K/S|lowrank:R +] f32|bf16|int8|e3m0|int4|2bit|1bit [+zstd]"`
	ErrorFeedback float64       `yaml:"error_feedback" range:"[0,1]" doc:"decay of the residual that carries what the codec lost; 0 is off"`
	MinPeers      int           `yaml:"min_peers" range:"[1,4096]" doc:"contributions that a round needs before it may close"`
	Deadline      time.Duration `yaml:"deadline" range:"[100ms,24h]" doc:"how long a round waits for absent workers"`
	Grace         time.Duration `yaml:"grace" range:"[0s,24h]" doc:"how long a round with min_peers in waits for others, for method elastic; 0 waits until the deadline"`
	MaxStaleness  int           `yaml:"max_staleness" range:"[0,1e6]" doc:"rounds that a contribution's base may lag behind"`
	Pace          string        `yaml:"pace" enum:"full|auto" doc:"steps that a worker takes between departures, for method async: full takes all; auto gives slow workers fewer, so that all depart as often (arXiv:2401.09135, DyLU)"`
	Topology      string        `yaml:"topology" enum:"all|pair" later:"hub" doc:"all: everybody receives every contribution; pair: one other worker does, for method noloco"`
}

// Train is the work of one worker.
type Train struct {
	Steps          int    `yaml:"steps" range:"[1,1e9]" doc:"inner steps of the whole run"`
	BatchSize      int    `yaml:"batch_size" range:"[1,1e6]" doc:"sequences per worker and inner step"`
	MicroBatchSize int    `yaml:"micro_batch_size" range:"[1,1e6]" doc:"sequences per forward and backward pass; gradients are accumulated"`
	Recompute      string `yaml:"recompute" local:"yes" enum:"none|block" doc:"block computes the activations inside a block again on the way back instead of keeping them: the same bits in less memory, a third slower"`
	Engine         string `yaml:"engine" local:"yes" enum:"auto|cpu|cuda|cuda:N|reference" doc:"what computes; auto takes a GPU if there is one and precision is bf16, and says which; cuda deals the GPUs out to the local workers, cuda:N is the GPU of that number"`
	Precision      string `yaml:"precision" enum:"fp32|bf16" doc:"number format of activations and products' operands; sums, parameters and optimizer are fp32"`
	Threads        int    `yaml:"threads" local:"yes" range:"[0,1024]" doc:"threads of each worker; 0 shares the cores among the local workers"`
}

// Swarm is what this machine gives to the run.
type Swarm struct {
	LocalWorkers int      `yaml:"local_workers" local:"yes" range:"[1,256]" doc:"workers on this machine, each a peer of its own"`
	Listen       []string `yaml:"listen" local:"yes" doc:"multiaddresses to listen on; port 0 takes a free one, as the local workers do beside a run"`
	Committee    int      `yaml:"committee" local:"yes" enum:"1" later:"3|4|5|7" doc:"peers that certify rounds"`
	Up           Rate     `yaml:"up" local:"yes" doc:"most bytes sent per second by this machine, such as 10MB/s; 0 has no limit"`
	Down         Rate     `yaml:"down" local:"yes" doc:"most bytes received per second by this machine, such as 10MB/s; 0 has no limit"`
}

// Checkpoint is what is kept, and for how long.
type Checkpoint struct {
	Every    int      `yaml:"every" local:"yes" range:"[1,1e6]" doc:"rounds between checkpoints; the last round makes one in any case"`
	Keep     int      `yaml:"keep" local:"yes" range:"[1,1e6]" doc:"checkpoints that stay pinned"`
	Snapshot int      `yaml:"snapshot" local:"yes" range:"[1,1e6]" doc:"rounds between private snapshots, which a resume starts from"`
	Remote   []string `yaml:"remote" local:"yes" doc:"URLs of services of the IPFS Pinning Service API that keep the newest checkpoints too; tokens come from the environment (SKEIN_PIN_TOKEN)"`
	Provide  bool     `yaml:"provide" local:"yes" doc:"tell the public IPFS network, by its DHT, that this machine has the checkpoints and the token shards"`
}

// Eval is the validation by one worker during the run; the whole split is evaluated once at the end.
type Eval struct {
	Every   int `yaml:"every" range:"[0,1e6]" doc:"rounds between evaluations; 0 evaluates at the end only"`
	Batches int `yaml:"batches" range:"[1,1e6]" doc:"batches of an evaluation during the run"`
}

// Default is a run of the small model that configs/tiny.yaml trains. It lacks data.source, which has no default.
func Default() Config {
	return Config{
		Name: "run",
		Seed: 1337,
		Model: Model{Arch: "llama", HiddenSize: 128, IntermediateSize: 352, NumHiddenLayers: 4,
			NumAttentionHeads: 4, NumKeyValueHeads: 4, RopeTheta: 10000, RMSNormEps: 1e-5},
		Data: Data{Tokenizer: "byte", SeqLen: 128, ValFraction: 0.05},
		Inner: Inner{Optimizer: "adamw", LR: 3e-3, Betas: [2]float64{0.9, 0.95}, Eps: 1e-8, Momentum: 0.95, WeightDecay: 0.1,
			WarmupSteps: 100, Schedule: "cosine", MinLRRatio: 0.1, GradClip: 1, Joiners: "rewarm"},
		Outer: Outer{Method: "diloco", Optimizer: "nesterov", LR: 1, Momentum: 0.5, Average: "all"},
		Sync:  Sync{Every: 20, Fragments: 1, Codec: "int8", MinPeers: 1, Deadline: time.Minute, Pace: "full", Topology: "all"},
		Train: Train{Steps: 400, BatchSize: 16, MicroBatchSize: 16, Recompute: "none", Engine: "auto", Precision: "fp32"},
		Swarm: Swarm{LocalWorkers: 4, Listen: []string{"/ip4/0.0.0.0/tcp/0"}, Committee: 1},

		Checkpoint: Checkpoint{Every: 5, Keep: 3, Snapshot: 1},
		Eval:       Eval{Every: 5, Batches: 8},
	}
}
