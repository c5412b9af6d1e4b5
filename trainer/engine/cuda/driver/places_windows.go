package driver

// places: the driver puts it into System32.
func places() []string { return []string{"nvcuda.dll"} }
