package web_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"onsale/engine/web"
)

var (
	imports = regexp.MustCompile(`(?m)^(?:import|export) .*from '([^']+)'`)
	links   = regexp.MustCompile(`(?:href|src)="([^"]+)"`)
)

func asset(t *testing.T, path string) string {
	t.Helper()
	body, _, _, ok := web.Asset(path)
	if !ok {
		t.Fatalf("there is no %s", path)
	}
	return string(body)
}

// moduleFiles are the names of all modules.
func moduleFiles(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(web.Files, "assets/*.js")
	if err != nil || len(names) == 0 {
		t.Fatalf("no modules are embedded: %v", err)
	}
	return names
}

func TestEveryFileThatIsNamedIsServedForGood(t *testing.T) {
	index := asset(t, "/")
	named := links.FindAllStringSubmatch(index, -1)
	for _, link := range named {
		if strings.HasPrefix(link[1], "#") {
			continue
		}
		asset(t, link[1])
		if got := web.CacheControl(link[1]); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s is cached as %q", link[1], got)
		}
	}
	for _, name := range moduleFiles(t) {
		if !strings.Contains(index, `/`+path.Base(name)+`"`) {
			t.Errorf("the document doesn't preload %s", name)
		}
		for _, dependency := range imports.FindAllStringSubmatch(asset(t, "/"+name), -1) {
			if !strings.HasPrefix(dependency[1], "./") {
				t.Errorf("%s imports %s: only neighbours stay within one version", name, dependency[1])
				continue
			}
			asset(t, "/"+path.Join("assets", dependency[1]))
		}
	}
}

func TestEveryModuleIsUsed(t *testing.T) {
	used := map[string]bool{"main.js": true}
	for _, name := range moduleFiles(t) {
		for _, dependency := range imports.FindAllStringSubmatch(asset(t, "/"+name), -1) {
			used[path.Base(dependency[1])] = true
		}
	}
	for _, name := range moduleFiles(t) {
		if !used[path.Base(name)] {
			t.Errorf("nobody imports %s", name)
		}
	}
}

func TestDocumentIsRevalidatedByItsETag(t *testing.T) {
	body, contentType, etag, ok := web.Asset("/")
	if !ok || contentType != "text/html; charset=utf-8" || len(body) == 0 {
		t.Fatalf("the document is %d bytes of %q", len(body), contentType)
	}
	if !regexp.MustCompile(`^"[0-9a-f]{16}"$`).MatchString(etag) || web.CacheControl("/") != "no-cache" {
		t.Errorf("the document has the ETag %s and is cached as %s", etag, web.CacheControl("/"))
	}
	if _, _, other, _ := web.Asset("/assets/main.js"); other == etag {
		t.Error("two files have one ETag")
	}
}

func TestFilesOfAnotherReleaseAreServedButNotKept(t *testing.T) {
	const other = "/assets/0123456789abcdef/main.js"
	if asset(t, other) != asset(t, "/assets/main.js") {
		t.Error("another release's path has other contents")
	}
	if got := web.CacheControl(other); got != "no-cache" {
		t.Errorf("another release's path is cached as %q", got)
	}
}

func TestNothingButTheSiteIsServed(t *testing.T) {
	for _, name := range []string{"", "/web.go", "/assets", "/assets/", "/assets/../web.go", "/assets/nothing.js", "//assets/main.js",
		"/assets/0123456789abcdef", "/assets/0123456789abcdef/", "/assets/0123456789abcdef/0123456789abcdef/main.js"} {
		if _, _, _, ok := web.Asset(name); ok {
			t.Errorf("%q is served", name)
		}
	}
}

func TestPageNeedsNothingInlineAndNobodyElse(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]|<style|\son[a-z]+=|\sstyle=|innerHTML|insertAdjacentHTML|\beval\(|new Function`)
	elsewhere := regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9-]+\.[a-z]`)
	err := fs.WalkDir(web.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := web.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if found := inline.Find(text); found != nil {
			t.Errorf("%s has %q, which its policy forbids", name, found)
		}
		for _, address := range elsewhere.FindAll(text, -1) {
			if string(address) != "http://www.w" { // an SVG's namespace, which nobody fetches
				t.Errorf("%s names another server: %s", name, address)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
