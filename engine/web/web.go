// Package web is the buyer's page: plain ES modules, one style sheet and one
// document, embedded in the binary. It needs no build step, no network beyond
// its own server, and runs under ContentSecurityPolicy.
//
// A stampede loads this page once and must not load it again, yet a new release
// must never mix its modules with those of the old one. So the whole assets
// folder stands under one version, the hash of all of it: "/assets/VERSION/main.js"
// never changes and is cached for good, while "/" names the version and is
// revalidated by its ETag. Modules import each other by relative paths, and so
// stay within their version.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
)

// Files holds index.html and the assets folder as they are in the source.
//
//go:embed index.html assets
var Files embed.FS

// ContentSecurityPolicy is what the server should send with the page. The page
// has no inline script or style, and talks to its own origin alone; the pictures that it
// fetches with the buyer's token are blobs.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const (
	assetsPrefix = "/assets/"
	// versionLength is in hex digits: 64 bits tell releases apart, nobody attacks them.
	versionLength = 16

	cacheForGood     = "public, max-age=31536000, immutable"
	cacheRevalidated = "no-cache"
)

// contentTypes stands here because mime.TypeByExtension reads the machine's own
// tables, which differ.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

type file struct {
	body        []byte
	contentType string
	etag        string
}

// site is everything servable, by its path without a version. It is built once
// and never changes.
var site, version = load()

// Asset returns what to serve at a request's path: "/", "/index.html",
// "/assets/NAME" or "/assets/VERSION/NAME". The ETag is a strong one, with its
// quotes. ok is false if there is no such file; the body must not be changed.
//
// A version that isn't ours is served our own files: while a release rolls out,
// the document may come from one process and its modules from another.
func Asset(path string) (body []byte, contentType, etag string, ok bool) {
	f, ok := site[withoutVersion(path)]
	return f.body, f.contentType, f.etag, ok
}

// CacheControl returns the Cache-Control header for a path that Asset knows:
// for good if the path names our version, else to be revalidated by the ETag.
func CacheControl(path string) string {
	if strings.HasPrefix(path, assetsPrefix+version+"/") {
		return cacheForGood
	}
	return cacheRevalidated
}

func withoutVersion(path string) string {
	name, ok := strings.CutPrefix(path, assetsPrefix)
	if !ok {
		return path
	}
	if folder, rest, ok := strings.Cut(name, "/"); ok && len(folder) == versionLength {
		return assetsPrefix + rest
	}
	return path
}

// load reads the embedded files. It panics if one can't be read: that is a
// broken build.
func load() (map[string]file, string) {
	files := map[string]file{}
	all := sha256.New()
	var modules []string
	err := fs.WalkDir(Files, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := Files.ReadFile(name)
		if err != nil {
			return err
		}
		// The walk is in lexical order, so the hash depends on names and contents alone.
		all.Write([]byte(name + "\x00"))
		all.Write(body)
		files["/"+name] = newFile(name, body)
		if path.Ext(name) == ".js" {
			modules = append(modules, "/"+name)
		}
		return nil
	})
	if err != nil {
		panic("reading the embedded assets: " + err.Error())
	}
	version := hex.EncodeToString(all.Sum(nil))[:versionLength]
	index := newFile("index.html", document(version, modules))
	files["/"], files["/index.html"] = index, index
	return files, version
}

// document is index.html with its assets under the version, and with a preload
// of every module: without it a browser finds them one import at a time, a round
// trip for each level.
func document(version string, modules []string) []byte {
	source, err := Files.ReadFile("index.html")
	if err != nil {
		panic("reading the embedded index.html: " + err.Error())
	}
	var preloads strings.Builder
	for _, m := range modules {
		preloads.WriteString(`<link rel="modulepreload" href="` + m + "\">\n")
	}
	text := strings.Replace(string(source), "</head>", preloads.String()+"</head>", 1)
	return []byte(strings.ReplaceAll(text, `"`+assetsPrefix, `"`+assetsPrefix+version+"/"))
}

func newFile(name string, body []byte) file {
	contentType, known := contentTypes[path.Ext(name)]
	if !known {
		panic("no content type for " + name)
	}
	sum := sha256.Sum256(body)
	return file{body: body, contentType: contentType, etag: `"` + hex.EncodeToString(sum[:])[:versionLength] + `"`}
}
