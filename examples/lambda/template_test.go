package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type statement struct {
	Sid      string   `yaml:"Sid"`
	Effect   string   `yaml:"Effect"`
	Action   []string `yaml:"Action"`
	Resource string   `yaml:"Resource"`
}

// resource is what the template says of the function.
type resource struct {
	Type       string `yaml:"Type"`
	Properties struct {
		Handler     string `yaml:"Handler"`
		Runtime     string `yaml:"Runtime"`
		Timeout     int    `yaml:"Timeout"`
		Environment struct {
			Variables map[string]string `yaml:"Variables"`
		} `yaml:"Environment"`
		Policies []struct {
			Statement []statement `yaml:"Statement"`
		} `yaml:"Policies"`
	} `yaml:"Properties"`
}

func template(t *testing.T) resource {
	t.Helper()
	data, err := os.ReadFile("template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Resources map[string]resource `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Resources["Function"]
}

// policy is what the double of AWS allows to whom the template's policy is given.
func policy(t *testing.T) func(operation, name string) bool {
	t.Helper()
	statements := template(t).Properties.Policies[0].Statement
	return func(operation, name string) bool {
		return slices.ContainsFunc(statements, func(s statement) bool {
			return slices.Contains(s.Action, "secretsmanager:"+operation) && (s.Resource == "*" || strings.HasPrefix(name, "prod/oauth/"))
		})
	}
}

func TestTheTemplateHasTheLeastPolicy(t *testing.T) {
	text, err := os.ReadFile("../../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Least policy")
	var least struct{ Statement []statement }
	if err := json.Unmarshal([]byte(regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section)[1]), &least); err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", "eu-central-1", "${AWS::AccountId}", "123456789012", "${Prefix}", "prod/oauth")
	got := template(t).Properties.Policies[0].Statement
	for i := range got {
		got[i].Resource = names.Replace(got[i].Resource)
	}
	if diff := cmp.Diff(least.Statement, got); diff != "" {
		t.Errorf("(-docs/aws.md +template.yaml)\n%s", diff)
	}
}

func TestTheTemplateSetsTheVariablesThatTheProgramReads(t *testing.T) {
	f := template(t)
	var set []string
	for name := range f.Properties.Environment.Variables {
		set = append(set, name)
	}
	slices.Sort(set)
	if diff := cmp.Diff(slices.Sorted(slices.Values(needed)), set); diff != "" {
		t.Errorf("(-main.go +template.yaml)\n%s", diff)
	}
	if p := f.Properties; f.Type != "AWS::Serverless::Function" || p.Runtime != "provided.al2023" || p.Handler != "bootstrap" || p.Timeout < 45 {
		t.Errorf("the function is %+v", f)
	}
}
