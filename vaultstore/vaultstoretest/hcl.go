package vaultstoretest

import (
	"fmt"
	"strings"
	"text/scanner"
)

// ParsePolicy reads a policy as it is written in Vault's documentation:
//
//	# Tokens of the payment service.
//	path "secret/data/app/*" {
//	  capabilities = ["create", "read", "update"]
//	}
//
// That is all of the language that it knows: comments, paths and capabilities.
func ParsePolicy(text string) (Policy, error) {
	p := &policyParser{}
	p.Init(strings.NewReader(hashComments(text)))
	p.Mode = scanner.ScanIdents | scanner.ScanStrings | scanner.ScanComments | scanner.SkipComments
	p.Error = func(*scanner.Scanner, string) {} // the token tells
	policy := Policy{}
	for p.next(); p.token != scanner.EOF; {
		rule, err := p.rule()
		if err != nil {
			return nil, fmt.Errorf("vaultstoretest: policy, line %d: %w", p.Position.Line, err)
		}
		policy = append(policy, rule)
	}
	return policy, policy.check()
}

// MustPolicy is ParsePolicy for policies that are known to be right. It panics if
// they are not.
func MustPolicy(text string) Policy {
	policy, err := ParsePolicy(text)
	if err != nil {
		panic(err)
	}
	return policy
}

// hashComments makes comments that begin with a number sign those that the scanner
// knows.
func hashComments(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		quoted := false
		for j, c := range line {
			if c == '"' {
				quoted = !quoted
			}
			if c == '#' && !quoted {
				lines[i] = line[:j]
				break
			}
		}
	}
	return strings.Join(lines, "\n")
}

type policyParser struct {
	scanner.Scanner
	token rune
}

func (p *policyParser) next() { p.token = p.Scan() }

// take reads a token that must be there.
func (p *policyParser) take(text string) error {
	if p.TokenText() != text {
		return fmt.Errorf("want %s, not %q", text, p.TokenText())
	}
	p.next()
	return nil
}

func (p *policyParser) str() (string, error) {
	if p.token != scanner.String {
		return "", fmt.Errorf("want a string, not %q", p.TokenText())
	}
	text := p.TokenText()
	p.next()
	return text[1 : len(text)-1], nil
}

func (p *policyParser) rule() (rule Rule, err error) {
	if err := p.take("path"); err != nil {
		return rule, err
	}
	if rule.Path, err = p.str(); err != nil {
		return rule, err
	}
	for _, text := range []string{"{", "capabilities", "=", "["} {
		if err := p.take(text); err != nil {
			return rule, err
		}
	}
	for p.token == scanner.String {
		capability, err := p.str()
		if err != nil {
			return rule, err
		}
		rule.Capabilities = append(rule.Capabilities, capability)
		if p.TokenText() != "," {
			break
		}
		p.next()
	}
	for _, text := range []string{"]", "}"} {
		if err := p.take(text); err != nil {
			return rule, err
		}
	}
	return rule, nil
}
