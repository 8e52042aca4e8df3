# What the job may do in Vault: docs/vault.md says what each right is for.
#
#   vault policy write tokens policy.hcl
#   vault write auth/kubernetes/role/sync bound_service_account_names=sync bound_service_account_namespaces=default \
#     audience=vault token_policies=tokens token_ttl=10m

path "tokens/data/prod/oauth/*" {
  capabilities = ["create", "update", "read"]
}
path "tokens/metadata/prod/oauth/*" {
  capabilities = ["read", "list", "delete"]
}
path "tokens/destroy/prod/oauth/*" {
  capabilities = ["update"]
}
path "tokens/config" {
  capabilities = ["read"]
}
