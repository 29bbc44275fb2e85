// Reads boards as Grafana's own schema has them: a field that it does not know, that is missing or that has the wrong type is an
// error. Only the kinds of panels that the boards have are known here, as each more takes time to compile.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/nodegraph"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	runtime := cog.NewRuntime()
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	kinds := map[string]bool{"row": true}
	for _, kind := range []variants.PanelcfgConfig{
		nodegraph.VariantConfig(), stat.VariantConfig(), statetimeline.VariantConfig(), table.VariantConfig(), timeseries.VariantConfig(),
	} {
		runtime.RegisterPanelcfgVariant(kind)
		kinds[kind.Identifier] = true
	}
	bad := false
	for _, file := range os.Args[1:] {
		if err := read(file, kinds); err != nil {
			fmt.Printf("%s: %v\n", file, err)
			bad = true
		}
	}
	if bad || len(os.Args) == 1 {
		os.Exit(1)
	}
}

func read(file string, kinds map[string]bool) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var board dashboard.Dashboard
	// It also returns an error that says nothing, as a list of none.
	if err := board.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err
	}
	// The options of a kind that is not registered would not be looked at.
	for _, one := range board.Panels {
		if one.Panel != nil && !kinds[one.Panel.Type] {
			return fmt.Errorf("panel %q: the kind %q is not looked at", *one.Panel.Title, one.Panel.Type)
		}
	}
	return nil
}
