package vaultstoretest

import "time"

// readConfig serves GET config.
//
// vault-plugin-secrets-kv, path_config.go
func readConfig(c *kvCall) (*response, error) {
	config := c.config()
	return &response{data: map[string]any{
		"max_versions":         config.maxVersions,
		"cas_required":         config.casRequired,
		"delete_version_after": config.deleteVersionAfter.String(),
	}}, nil
}

// writeConfig serves PUT config.
func writeConfig(c *kvCall) (*response, error) {
	maxVersions, hasMax := c.get("max_versions")
	casRequired, hasCAS := c.get("cas_required")
	after, hasAfter := c.get("delete_version_after")
	if !hasMax && !hasCAS && !hasAfter {
		return nil, nil
	}
	config := c.config()
	if hasMax {
		config.maxVersions = uint32(maxVersions.(int))
	}
	if hasCAS {
		config.casRequired = casRequired.(bool)
	}
	if hasAfter {
		config.deleteVersionAfter = max(seconds(after.(int)), neverDelete)
	}
	return nil, c.setConfig(config)
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
