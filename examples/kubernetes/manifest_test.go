package main

import (
	"bytes"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// A pod is what cronjob.yaml says of it. What is not listed here is an error: so no volume, for
// example, comes in by another name.
type pod struct {
	ServiceAccountName            string `yaml:"serviceAccountName"`
	AutomountServiceAccountToken  *bool  `yaml:"automountServiceAccountToken"`
	RestartPolicy                 string `yaml:"restartPolicy"`
	TerminationGracePeriodSeconds int    `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               struct {
		RunAsNonRoot   bool              `yaml:"runAsNonRoot"`
		RunAsUser      int               `yaml:"runAsUser"`
		RunAsGroup     int               `yaml:"runAsGroup"`
		FSGroup        int               `yaml:"fsGroup"`
		SeccompProfile map[string]string `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []container
	Volumes    []struct {
		Name      string
		Projected struct {
			Sources []struct {
				ServiceAccountToken struct {
					Path              string
					Audience          string
					ExpirationSeconds int `yaml:"expirationSeconds"`
				} `yaml:"serviceAccountToken"`
			}
		}
	}
}

type container struct {
	Name            string
	Image           string
	SecurityContext struct {
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		Capabilities             map[string][]string
	} `yaml:"securityContext"`
	Resources    map[string]map[string]string
	Env          []struct{ Name, Value string }
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

// manifest returns the pod of the job, and the name of the service account.
func manifest(t *testing.T) (pod, string) {
	t.Helper()
	data, err := os.ReadFile("cronjob.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	type head struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
	}
	var account struct {
		head                         `yaml:",inline"`
		AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
	}
	var job struct {
		head `yaml:",inline"`
		Spec struct {
			Schedule          string
			ConcurrencyPolicy string `yaml:"concurrencyPolicy"`
			JobTemplate       struct {
				Spec struct {
					BackoffLimit int `yaml:"backoffLimit"`
					Template     struct{ Spec pod }
				}
			} `yaml:"jobTemplate"`
		}
	}
	for _, part := range []any{&account, &job} {
		if err := decoder.Decode(part); err != nil {
			t.Fatal(err)
		}
	}
	if account.Kind != "ServiceAccount" || job.APIVersion != "batch/v1" || job.Kind != "CronJob" || job.Spec.ConcurrencyPolicy != "Allow" {
		t.Errorf("the manifest is %+v, %+v", account, job)
	}
	return job.Spec.JobTemplate.Spec.Template.Spec, account.Metadata.Name
}

func TestTheManifestSetsTheVariablesThatTheProgramReads(t *testing.T) {
	p, _ := manifest(t)
	var set []string
	for _, e := range p.Containers[0].Env {
		if set = append(set, e.Name); e.Value == "" {
			t.Errorf("%s is empty", e.Name)
		}
	}
	if diff := cmp.Diff(needed, set); diff != "" {
		t.Errorf("(-main.go +cronjob.yaml)\n%s", diff)
	}
}

func TestThePodHasNoRightsAndNoDisk(t *testing.T) {
	p, account := manifest(t)
	c := p.Containers[0]
	for what, good := range map[string]bool{
		"one container":             len(p.Containers) == 1,
		"its own service account":   p.ServiceAccountName == account,
		"no token but that for us":  p.AutomountServiceAccountToken != nil && !*p.AutomountServiceAccountToken,
		"not root":                  p.SecurityContext.RunAsNonRoot && p.SecurityContext.RunAsUser > 0 && p.SecurityContext.RunAsGroup > 0,
		"seccomp":                   p.SecurityContext.SeccompProfile["type"] == "RuntimeDefault",
		"a file system to read":     c.SecurityContext.ReadOnlyRootFilesystem,
		"no escalation":             c.SecurityContext.AllowPrivilegeEscalation != nil && !*c.SecurityContext.AllowPrivilegeEscalation,
		"no capabilities":           cmp.Equal(c.SecurityContext.Capabilities, map[string][]string{"drop": {"ALL"}}),
		"time to end a refresh":     p.TerminationGracePeriodSeconds > 30,
		"one volume of one source":  len(p.Volumes) == 1 && len(p.Volumes[0].Projected.Sources) == 1,
		"one mount, which is read":  len(c.VolumeMounts) == 1 && c.VolumeMounts[0].ReadOnly && c.VolumeMounts[0].Name == p.Volumes[0].Name,
		"a token for Vault only":    p.Volumes[0].Projected.Sources[0].ServiceAccountToken.Audience == "vault",
		"a token that expires soon": p.Volumes[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds == 600,
	} {
		if !good {
			t.Errorf("it has not: %s", what)
		}
	}
	file := path.Join(c.VolumeMounts[0].MountPath, p.Volumes[0].Projected.Sources[0].ServiceAccountToken.Path)
	for _, e := range c.Env {
		if e.Name == "VAULT_JWT_FILE" && e.Value != file {
			t.Errorf("VAULT_JWT_FILE is %s, and the token is in %s", e.Value, file)
		}
	}
}

func TestThePolicyIsTheLeastOne(t *testing.T) {
	text, err := os.ReadFile("../../docs/vault.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Least policy")
	least := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindStringSubmatch(section)[1]
	policy, err := os.ReadFile("policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(policy), "\n\n") // after the comment
	if diff := cmp.Diff(least, rules); diff != "" {
		t.Errorf("(-docs/vault.md +policy.hcl)\n%s", diff)
	}
}
