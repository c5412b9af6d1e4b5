// The generator has its own module, so that users of the kernels do not depend on the assembler's tools.
module github.com/skein-train/skein/trainer/engine/cpu/kernels/gen

go 1.26.0

require github.com/mmcloughlin/avo v0.6.0

require (
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/tools v0.50.0 // indirect
)
