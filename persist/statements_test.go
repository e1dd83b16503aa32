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
// that can't be worked out fails the test: nobody could say what it will be.
func statements(t *testing.T) map[string][]string {
	t.Helper()
	s := readSource(t)
	found := map[string][]string{}
	for _, f := range s.functions {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sent := statementOf(call)
			if sent == nil {
				return true
			}
			at := s.files.Position(sent.Pos()).String()
			texts := s.values(sent, f)
			if len(texts) == 0 {
				t.Errorf("%s: what is sent can't be worked out: make it a constant", at)
			}
			found[at] = texts
			return true
		})
	}
	return found
}

// statementOf is the statement that a call sends; nil if it sends none.
func statementOf(call *ast.CallExpr) ast.Expr {
	switch calledName(call) {
	case "Queue":
		return call.Args[0]
	case "Query", "QueryRow", "Exec", "QueryContext", "QueryRowContext", "ExecContext":
		if len(call.Args) > 1 { // with one, what a queued statement is answered with
			return call.Args[1]
		}
	}
	return nil
}

func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

// source is this package's, as far as texts go through it.
type source struct {
	files     *token.FileSet
	functions []*ast.FuncDecl
	named     map[string]ast.Expr // what constants and variables were declared as
}

func readSource(t *testing.T) *source {
	t.Helper()
	s := &source{files: token.NewFileSet(), named: map[string]ast.Expr{}}
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), ".go") || strings.HasSuffix(name.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(s.files, name.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				s.functions = append(s.functions, n)
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						s.named[name.Name] = n.Values[i]
					}
				}
			}
			return true
		})
	}
	return s
}

// values are the texts that an expression in a function can have; none if they can't be
// worked out.
func (s *source) values(e ast.Expr, in *ast.FuncDecl) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return []string{text}
		}
	case *ast.BinaryExpr:
		var sums []string
		for _, x := range s.values(e.X, in) {
			for _, y := range s.values(e.Y, in) {
				sums = append(sums, x+y)
			}
		}
		return sums
	case *ast.CompositeLit:
		var all []string
		for _, element := range e.Elts {
			all = append(all, s.values(element, in)...)
		}
		return all
	case *ast.Ident:
		if position, ok := parameter(in, e.Name); ok {
			return s.arguments(in, position)
		}
		if over := rangedOver(in, e.Name); over != nil {
			return s.values(over, in)
		}
		if value := s.named[e.Name]; value != nil {
			return s.values(value, in)
		}
	}
	return nil
}

// parameter is the position of a function's parameter of that name.
func parameter(f *ast.FuncDecl, name string) (position int, ok bool) {
	for _, field := range f.Type.Params.List {
		for _, n := range field.Names {
			if n.Name == name {
				return position, true
			}
			position++
		}
	}
	return 0, false
}

// arguments are what callers give a function at a position.
func (s *source) arguments(f *ast.FuncDecl, position int) (texts []string) {
	wanted, fields := 0, f.Type.Params.List
	for _, field := range fields {
		wanted += len(field.Names)
	}
	_, open := fields[len(fields)-1].Type.(*ast.Ellipsis)
	for _, caller := range s.functions {
		ast.Inspect(caller, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && calledName(call) == f.Name.Name && (len(call.Args) == wanted || open && len(call.Args) >= wanted-1) {
				texts = append(texts, s.values(call.Args[position], caller)...)
			}
			return true
		})
	}
	return texts
}

// rangedOver is what a function's loop variable goes over; nil if there is none of that name.
func rangedOver(f *ast.FuncDecl, name string) (over ast.Expr) {
	ast.Inspect(f, func(n ast.Node) bool {
		if loop, ok := n.(*ast.RangeStmt); ok {
			if value, ok := loop.Value.(*ast.Ident); ok && value.Name == name {
				over = loop.X
			}
		}
		return true
	})
	return over
}
