package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
	"github.com/skein-train/skein/trainer/engine/cpu/blas"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// finding is one line of the doctor's report.
type finding struct {
	Topic  string `json:"topic"`
	OK     bool   `json:"ok"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"` // what would help, if something would
}

func newDoctorCommand() *cobra.Command {
	var asJSON bool
	var config string
	cmd := &cobra.Command{
		Use:   "doctor [--config FILE [KEY=VALUE …]]",
		Short: "look at this machine: engine, cores, memory, disk, ports, what to install",
		Long: "doctor looks at this machine. With --config it predicts the memory that `skein run FILE` takes here at its peak, and says\n" +
			"what to change if that is more than is free; nothing of that size is allocated.",
		Example: "  skein doctor\n  skein doctor --config configs/models/124m.yaml train.micro_batch_size=2",
		Args: func(cmd *cobra.Command, args []string) error {
			if config == "" {
				return cobra.NoArgs(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if config != "" {
				return forecastRun(cmd, config, args, asJSON)
			}
			found := examine(runsDir(cmd))
			if asJSON {
				return printJSON(cmd, found)
			}
			for _, f := range found {
				mark := "ok"
				if !f.OK {
					mark = "!!"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %-9s %s\n", mark, f.Topic, f.Found)
				if f.Advice != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "    %-9s → %s\n", "", f.Advice)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.Flags().StringVar(&config, "config", "", "run file whose memory to predict; KEY=VALUE overrides its keys")
	return cmd
}

func forecastRun(cmd *cobra.Command, file string, overrides []string, asJSON bool) error {
	c, err := configs.Load(file, overrides)
	if err != nil {
		return err
	}
	f, err := predict(file, c)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, f)
	}
	f.tell(newConsole(cmd.OutOrStdout()))
	return nil
}

func examine(runs string) []finding {
	out := append(examineEngines(), examineGPUs()...)
	out = append(out, examineLibraries()...)
	return append(out, examineCores(), examineMemory(), examineDisk(runs), examinePort("tcp"), examinePort("udp"), examineGo())
}

// examineEngines opens what train.engine=auto would, in each precision.
func examineEngines() (out []finding) {
	for _, precision := range []string{"fp32", "bf16"} {
		e, err := auto.Open(engine.Options{Kind: "auto", Precision: precision, Threads: runtime.NumCPU()})
		if err != nil {
			out = append(out, finding{"engine", false, precision + ": " + err.Error(), "train.engine=cpu works without a GPU, train.engine=reference everywhere, very slowly"})
			continue
		}
		out = append(out, finding{Topic: "engine", OK: true, Found: e.Name()})
		e.Close()
	}
	return out
}

// examineGPUs lists what the NVIDIA driver sees. That there is none is told without alarm.
func examineGPUs() (out []finding) {
	d, err := driver.Open("")
	if errors.Is(err, driver.ErrNoDriver) {
		return []finding{{"gpu", true, "none", err.Error()}}
	}
	if err != nil {
		return []finding{{"gpu", false, "the NVIDIA driver cannot be used", err.Error()}}
	}
	devices, err := d.Devices()
	if err != nil {
		return []finding{{"gpu", false, fmt.Sprintf("%s, CUDA %v: no GPU", d.Library, d.Version), err.Error()}}
	}
	usable := false
	for _, dev := range devices {
		f := finding{Topic: "gpu", OK: true, Found: fmt.Sprintf("GPU %d: %s, %v, %s, driver for CUDA %v (%s)",
			dev.Index, dev.Name, dev.Capability, humanize.IBytes(uint64(dev.Memory)), d.Version, d.Library)}
		if err := cuda.Check(dev); err != nil {
			f.OK, f.Advice = false, err.Error()
		}
		usable = usable || f.OK
		out = append(out, f)
	}
	if usable {
		out = append(out, examineProducts(d))
	}
	return out
}

// examineProducts tries cuBLASLt out on a GPU. Training works without it, so that it is not there is told without alarm.
func examineProducts(d *driver.Driver) finding {
	l, err := cuda.Library(engine.Options{}, d.Version)
	if err == nil {
		var e *cuda.Engine
		if e, err = cuda.Open(engine.Options{Kind: "cuda", Precision: cuda.Precision, Library: l.File}); err == nil {
			e.Close()
			return finding{Topic: "gpu", OK: true, Found: fmt.Sprintf("cuBLASLt %v multiplies matrices (%s)", l.Version, l.File)}
		}
	}
	harmless := errors.Is(err, cuda.ErrUnwanted) || errors.Is(err, cublaslt.ErrMissing) && os.Getenv(cublaslt.Path) == ""
	return finding{"gpu", harmless, "our own kernels multiply matrices", err.Error()}
}

// examineLibraries lists the candidates. One fast library is enough; which of the others are missing is told without alarm.
func examineLibraries() (out []finding) {
	found := blas.Probe()
	fast := slices.ContainsFunc(found, func(l blas.Library) bool { return l.Found && l.Name != "gonum" })
	for _, l := range found {
		f := finding{Topic: "library", OK: true, Found: fmt.Sprintf("%s %s %s", l.Title, l.Version, l.Path)}
		if !l.Found {
			f.OK, f.Found = fast, l.Title+" not found"
			f.Advice = l.Note
		}
		out = append(out, f)
	}
	return out
}

func examineCores() finding {
	return finding{Topic: "cores", OK: true, Found: fmt.Sprintf("%d (%s/%s)", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)}
}

func examineMemory() finding {
	m, err := mem.VirtualMemory()
	if err != nil {
		return finding{"memory", false, err.Error(), ""}
	}
	f := finding{Topic: "memory", OK: m.Available > 1<<30, Found: fmt.Sprintf("%s free of %s", humanize.IBytes(m.Available), humanize.IBytes(m.Total))}
	if !f.OK {
		f.Advice = "configs/tiny.yaml takes about 1 GiB: close other programs, or set swarm.local_workers=1"
	}
	return f
}

func examineDisk(runs string) finding {
	where := existing(runs)
	u, err := disk.Usage(where)
	if err != nil {
		return finding{"disk", false, err.Error(), ""}
	}
	f := finding{Topic: "disk", OK: u.Free > 1<<30, Found: fmt.Sprintf("%s free of %s in %s", humanize.IBytes(u.Free), humanize.IBytes(u.Total), where)}
	if !f.OK {
		f.Advice = "put the runs somewhere else with --runs DIR"
	}
	return f
}

// existing is the path itself or its nearest parent that is there.
func existing(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "."
	}
	for {
		if _, err := os.Stat(abs); err == nil || abs == filepath.Dir(abs) {
			return abs
		}
		abs = filepath.Dir(abs)
	}
}

// examinePort opens and closes a free port.
func examinePort(network string) finding {
	f := finding{Topic: network, OK: true, Found: "a port can be opened"}
	var err error
	if network == "tcp" {
		var l net.Listener
		if l, err = net.Listen("tcp", ":0"); err == nil {
			l.Close()
		}
	} else {
		var c net.PacketConn
		if c, err = net.ListenPacket("udp", ":0"); err == nil {
			c.Close()
		}
	}
	if err != nil {
		f.OK, f.Found, f.Advice = false, err.Error(), "workers cannot listen: look at the firewall or the container's settings"
	}
	return f
}

// examineGo looks for the tool that fetches the named corpora.
func examineGo() finding {
	path, err := exec.LookPath("go")
	if err != nil {
		return finding{"corpus", false, "no go command on PATH", "named corpora (enwik7) come through it; data.source=FILE needs nothing"}
	}
	version, _ := exec.Command(path, "env", "GOVERSION").Output()
	return finding{Topic: "corpus", OK: true, Found: "named corpora are fetched with " + strings.TrimSpace(string(version))}
}
