// Skein trains one language model on many machines that are joined by the ordinary internet.
package main

import (
	"os"

	"github.com/skein-train/skein/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
