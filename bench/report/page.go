package report

import (
	"bytes"
	_ "embed"
	"html/template"
)

//go:embed page.html
var pageSource string

// figure is a chart on the page.
type figure struct {
	File, Title, Note string
	Picture           template.HTML
}

// HTML is the whole report as one page that needs nothing else.
func (r *Report) HTML() ([]byte, error) {
	page, err := template.New("page").Parse(pageSource)
	if err != nil {
		return nil, err
	}
	table := r.Table()
	var figures []figure
	for _, c := range r.Charts() {
		svg, err := c.inline()
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{c.File, c.Title, c.Note, template.HTML(svg)})
	}
	var b bytes.Buffer
	err = page.Execute(&b, map[string]any{
		"Name": r.Name, "Expect": r.Expect, "Commands": r.Commands, "Findings": r.Findings(),
		"Header": table[0], "Rows": table[1:], "Notes": r.Notes(), "Figures": figures, "Setting": r.setting(),
	})
	return b.Bytes(), err
}
