package persist

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// statements returns every statement that this package sends to Postgres, by where it
// is sent from. They are found in the source, so that a new one can't be forgotten. One
// that is not a constant fails the test: nobody could say what it will be.
func statements(t *testing.T) map[string]string {
	t.Helper()
	files := token.NewFileSet()
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	consts := constants{}
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), ".go") || strings.HasSuffix(name.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
		ast.Inspect(file, consts.note)
	}
	found := map[string]string{}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			sent := statementOf(n)
			if sent == nil {
				return true
			}
			text, ok := consts.value(sent)
			if !ok {
				t.Errorf("%s: the statement is not a constant", files.Position(sent.Pos()))
			}
			found[files.Position(sent.Pos()).String()] = text
			return true
		})
	}
	return found
}

// statementOf is the statement that a call sends; nil if it sends none.
func statementOf(n ast.Node) ast.Expr {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	switch method.Sel.Name {
	case "keep", "deliveries", "replay", "changeWebhook": // they pass on what they are given
		if store, ok := method.X.(*ast.Ident); ok && store.Name == "s" && len(call.Args) > 1 {
			return call.Args[1]
		}
	case "Queue":
		return call.Args[0]
	case "Query", "QueryRow", "Exec", "QueryContext", "QueryRowContext", "ExecContext":
		if passed, ok := call.Args[min(1, len(call.Args)-1)].(*ast.Ident); ok && passed.Name == "statement" {
			return nil // looked at where it is passed on
		}
		if len(call.Args) > 1 { // with one, what a queued statement is answered with
			return call.Args[1]
		}
	}
	return nil
}

// constants are the package's, by name.
type constants map[string]ast.Expr

func (c constants) note(n ast.Node) bool {
	if spec, ok := n.(*ast.ValueSpec); ok {
		for i, name := range spec.Names {
			if i < len(spec.Values) {
				c[name.Name] = spec.Values[i]
			}
		}
	}
	return true
}

func (c constants) value(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		x, ok := c.value(e.X)
		y, ok2 := c.value(e.Y)
		return x + y, ok && ok2
	case *ast.Ident:
		if value := c[e.Name]; value != nil {
			return c.value(value)
		}
	}
	return "", false
}
