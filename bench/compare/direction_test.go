package compare

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A ratio has no unit that would tell which way it is better: one that the bench makes and the table doesn't know can
// become ten times as bad, and nobody is told.
func TestEveryRatioThatTheBenchMakesIsInTheTable(t *testing.T) {
	t.Parallel()
	made := ratiosMade(t, "..")
	for _, name := range made {
		if _, known := named(name); !known {
			t.Errorf("the ratio %q is in no table: which way is it better?", name)
		}
	}
	for _, name := range []string{"vs_rows", "herd_effect", "cpu_of_…", "…_…_flat", "sold_of_capacity"} { // one of each way in which they are made
		if !slices.Contains(made, name) {
			t.Errorf("%s is not found any more among %q", name, made)
		}
	}
}

// ratiosMade are the names that the sources below a folder give to ratios; "…" is what isn't known before it runs.
// A name is given where a map of ratios is written to, in place or in a function that returns one; what only hands a
// name on is looked for by its calls.
func ratiosMade(t *testing.T, folder string) (names []string) {
	t.Helper()
	var files []*ast.File
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	passOn := map[string]bool{} // functions whose first argument is the name, as package.Function, or .Function if all may call it
	for _, file := range files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				names = append(names, namesIn(f, func() { passOn[scope(file, f.Name.Name)] = true })...)
			}
		}
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 0 {
				if of, ok := call.Fun.(*ast.SelectorExpr); ok && passOn[scope(file, of.Sel.Name)] {
					names = append(names, pattern(call.Args[0]))
				}
			}
			return true
		})
	}
	return names
}

func scope(file *ast.File, name string) string {
	if ast.IsExported(name) {
		return "." + name
	}
	return file.Name.Name + "." + name
}

// namesIn are the names that a function gives to ratios. It calls passesOn if one is its first parameter.
func namesIn(f *ast.FuncDecl, passesOn func()) (names []string) {
	returns := f.Type.Results != nil && len(f.Type.Results.List) == 1 && isRatios(f.Type.Results.List[0].Type)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			index, ok := n.Lhs[0].(*ast.IndexExpr)
			if !ok || !strings.EqualFold(lastName(index.X), "ratios") {
				return true
			}
			if _, parameter := index.Index.(*ast.Ident); parameter {
				passesOn()
			} else {
				names = append(names, pattern(index.Index))
			}
		case *ast.CompositeLit:
			if returns && isRatios(n.Type) {
				for _, entry := range n.Elts {
					names = append(names, pattern(entry.(*ast.KeyValueExpr).Key))
				}
			}
		}
		return true
	})
	return names
}

// isRatios reports whether a type is map[string]float64.
func isRatios(e ast.Expr) bool {
	m, ok := e.(*ast.MapType)
	return ok && lastName(m.Key) == "string" && lastName(m.Value) == "float64"
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// pattern is a text as far as the source tells it.
func pattern(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return text
		}
	case *ast.BinaryExpr:
		return pattern(e.X) + pattern(e.Y)
	}
	return "…"
}
