package stores

// HideRedis makes this machine one without a redis-server, until the returned
// function is called. PATH is the caller's to empty.
func HideRedis() (restore func()) {
	folders := redisFolders
	redisFolders = nil
	return func() { redisFolders = folders }
}

// Account is somebody else's account, for what must hold for it.
func Account(name string, uid, gid uint32) *account { return &account{name: name, uid: uid, gid: gid} }

// MayEnter is account.mayEnter.
func (a *account) MayEnter(folder string) error { return a.mayEnter(folder) }
