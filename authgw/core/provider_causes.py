"""Causes of refused logins and logouts at identity providers; a part of `core.reasons.CAUSES`."""

PROVIDER_CAUSES: dict[str, str] = {
    "provider_error": "the identity provider responded with an error instead of a code",
    "provider_grant": "the identity provider does not accept the code or the refresh token",
    "provider_refresh": "the identity provider sent no refresh token, which `refresh` needs",
    "provider_metadata": "the discovery document of the identity provider is not usable",
    "provider_keys": "the key set of the identity provider is not usable",
    "provider_token": "the token is not a canonical JWS of at most 16 KiB, or its header names a "
    "key or an extension",
    "provider_alg": "the token has an algorithm that `algorithms` does not list, or that its key "
    "does not have",
    "provider_key_unknown": "the identity provider publishes no key for its token",
    "provider_signature": "the signature of the token is not that of the identity provider",
    "provider_type": "the token is of another type",
    "provider_issuer": "the token is of another issuer than `issuer`",
    "provider_audience": "the token is for another client than `client_id`",
    "provider_expired": "the token has expired: compare the clocks here and at the provider, or "
    "raise `skew`",
    "provider_not_yet_valid": "the token is from the future: compare the clocks here and at the "
    "provider, or raise `skew`",
    "provider_nonce": "the token belongs to another login",
    "provider_at_hash": "the ID token belongs to another access token",
    "provider_claims": "a claim of the identity provider is missing or not valid",
    "provider_userinfo": "the user information is of another account than the ID token",
    "logout_events": "the token has no event of a back-channel logout",
    "logout_nonce": "the token has a nonce, so it is an ID token",
    "logout_network": "the logout token comes from an address outside of `backchannel_from`",
    "flow_prompt": "the identity provider does not know the prompt `select_account`",
    "account_taken": "the account is linked to another user, or a name is bound to it",
    "logout_subject": "the logout token names neither an account nor a session",
    "account_blocked": "the account or its name is blocked (`blocked` in the bindings file)",
    "account_not_accepted": "`accept` of the identity provider does not admit the account",
    "account_other_name": "the account is bound to a name that `names` of its provider does not "
    "give: release that name",
    "bindings_unwritable": "the bindings file (`auth.bindings`) cannot be written",
    "name_missing": "the account has no usable name in the claim that `subject` names",
    "name_reserved": "the name has a colon, which is for names with the prefix of their source",
    "name_is_user": "the name is like that of a user of the users file: link the account to the "
    "user",
    "name_bound": "the name is bound to another account",
    "name_unbound": "no account is bound to the name, and `bind: listed` binds none at a login",
    "email_unverified": "the e-mail address is missing, is not valid, or is not verified",
    "groups_malformed": "the groups of the account are not a text or a list of texts",
    "groups_overage": "the account is in more groups than the identity provider puts into a token",
    "groups_size": "the groups of the account have more than 4,096 bytes together",
}
