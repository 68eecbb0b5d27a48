package sweep

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// engineDirs are the packages that call devices themselves.
var engineDirs = []string{"ebofs", "ebofs/wal", "ebofs/check"}

// DeviceCalls returns the lines below root at which the engine calls a device, as
// in Site.Line, found by their shape: a method Read or Write with a context, a
// block and a devices.Vec, or a Flush with a context.
func DeviceCalls(root string) ([]string, error) {
	var lines []string
	for _, dir := range engineDirs {
		files, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(root, dir, f.Name()), nil, 0)
			if err != nil {
				return nil, err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok && callsDevice(c) {
					lines = append(lines, fmt.Sprintf("%s/%s:%d", dir, f.Name(), set.Position(c.Pos()).Line))
				}
				return true
			})
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

// callsDevice reports whether c looks like a call of devices.Device.
func callsDevice(c *ast.CallExpr) bool {
	f, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || len(c.Args) == 0 || !isContext(c.Args[0]) {
		return false
	}
	switch f.Sel.Name {
	case "Flush":
		return len(c.Args) == 1
	case "Read", "Write":
		return len(c.Args) == 3
	}
	return false
}

// isContext reports whether e is called ctx, or ends in it.
func isContext(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "ctx"
	case *ast.SelectorExpr:
		return e.Sel.Name == "ctx"
	}
	return false
}
