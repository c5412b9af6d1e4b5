package engine

// Numeric classes: the top four bits name the kind of engine, the lower twelve tell apart what computes inside it (a
// library and its version, the instruction set). Two workers of one class expect the same bits from the same inputs;
// between classes rounding differs.
const (
	ClassReference uint16 = 0x1000
	ClassCPU       uint16 = 0x2000
	ClassCUDA      uint16 = 0x3000
)
