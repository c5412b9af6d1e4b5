package cublaslt

// symbol is a function of the library.
type symbol int

const (
	cublasLtGetProperty symbol = iota
	cublasLtCreate
	cublasLtDestroy
	cublasLtMatmulDescCreate
	cublasLtMatmulDescDestroy
	cublasLtMatmulDescSetAttribute
	cublasLtMatrixLayoutCreate
	cublasLtMatrixLayoutDestroy
	cublasLtMatmulPreferenceCreate
	cublasLtMatmulPreferenceDestroy
	cublasLtMatmulPreferenceSetAttribute
	cublasLtMatmulAlgoGetHeuristic
	cublasLtMatmul
	symbols // their number
)

var names = [symbols]string{
	cublasLtGetProperty:                  "cublasLtGetProperty",
	cublasLtCreate:                       "cublasLtCreate",
	cublasLtDestroy:                      "cublasLtDestroy",
	cublasLtMatmulDescCreate:             "cublasLtMatmulDescCreate",
	cublasLtMatmulDescDestroy:            "cublasLtMatmulDescDestroy",
	cublasLtMatmulDescSetAttribute:       "cublasLtMatmulDescSetAttribute",
	cublasLtMatrixLayoutCreate:           "cublasLtMatrixLayoutCreate",
	cublasLtMatrixLayoutDestroy:          "cublasLtMatrixLayoutDestroy",
	cublasLtMatmulPreferenceCreate:       "cublasLtMatmulPreferenceCreate",
	cublasLtMatmulPreferenceDestroy:      "cublasLtMatmulPreferenceDestroy",
	cublasLtMatmulPreferenceSetAttribute: "cublasLtMatmulPreferenceSetAttribute",
	cublasLtMatmulAlgoGetHeuristic:       "cublasLtMatmulAlgoGetHeuristic",
	cublasLtMatmul:                       "cublasLtMatmul",
}
