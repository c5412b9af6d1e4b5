package cublaslt

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// Path is the environment variable that names the file of cuBLASLt, or is Off.
const (
	Path = "SKEIN_CUBLASLT"
	Off  = "off"
)

// places are the files to try for a driver for CUDA v, best first: newer versions before older ones, of each the one that the
// system's loader finds, then those that are there.
func places(v driver.Version) (files []string) {
	for major := Newest; major >= Oldest; major-- {
		if driver.Version(1000*major) > v {
			continue
		}
		name := nameOf(major)
		if name == "" {
			return nil
		}
		files = append(files, name)
		for _, folder := range folders() {
			found, _ := filepath.Glob(filepath.Join(folder, name)) // fails on malformed patterns only
			slices.Reverse(found)                                  // /usr/local/cuda-12.6 before cuda-12.4
			files = append(files, found...)
		}
	}
	return files
}

// folders are patterns of those that toolkits, conda and pip's wheels put libraries in.
func folders() (patterns []string) {
	for _, root := range []string{os.Getenv("CUDA_HOME"), os.Getenv("CUDA_PATH"), "/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda", os.Getenv("CONDA_PREFIX")} {
		if root != "" {
			patterns = append(patterns, filepath.Join(root, inToolkit))
		}
	}
	if conda := os.Getenv("CONDA_PREFIX"); conda != "" {
		patterns = append(patterns, filepath.Join(conda, inConda))
	}
	for _, root := range pythons() {
		patterns = append(patterns, filepath.Join(root, inWheels))
	}
	return patterns
}

// pythons are the roots of Python's installations and virtual environments.
func pythons() (roots []string) {
	roots = append(roots, os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX"))
	for _, name := range []string{"python3", "python"} {
		if file, err := exec.LookPath(name); err == nil {
			roots = append(roots, filepath.Dir(filepath.Dir(file)))
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, filepath.Join(home, ".local"), filepath.Join(home, ".pyenv", "versions", "*"))
	}
	roots = append(roots, "/usr/local", "/usr")
	return slices.DeleteFunc(roots, func(root string) bool { return root == "" })
}
