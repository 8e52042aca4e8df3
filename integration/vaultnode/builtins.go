package vaultnode

import (
	"slices"

	"github.com/hashicorp/vault/sdk/helper/consts"
)

// Builtins tell the core which of its engines and logins came with it: those that newCore
// names. Vault's own registry imports all there are, and with them the SDKs of every
// cloud and database.
type builtins struct{}

var names = map[consts.PluginType][]string{
	consts.PluginTypeSecrets:    {"kv"},
	consts.PluginTypeCredential: {"approle"},
}

func (builtins) Contains(name string, kind consts.PluginType) bool {
	return slices.Contains(names[kind], name)
}

// Get says that there is no plugin to start: the core finds what it needs in its config.
func (builtins) Get(string, consts.PluginType) (func() (any, error), bool) { return nil, false }

func (builtins) Keys(kind consts.PluginType) []string { return slices.Clone(names[kind]) }

func (builtins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, slices.Contains(names[kind], name)
}

func (builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
