// Package library loads shared libraries at run time, on the systems that have CUDA.
package library

// Library is a shared object that is loaded, and stays so.
type Library struct {
	File   string // that it was opened by
	handle uintptr
}

// Open loads a file, or what the system's loader finds by that name.
func Open(file string) (Library, error) {
	h, err := load(file)
	return Library{file, h}, err
}

// Symbols fills in the addresses of functions in the order of their names. missing is the first that the library lacks, empty
// if there is none.
func (l Library) Symbols(entry []uintptr, names []string) (missing string) {
	for i, name := range names {
		if entry[i] = l.symbol(name); entry[i] == 0 {
			return name
		}
	}
	return ""
}
