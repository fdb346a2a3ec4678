"""What capabilities are told, out of a node's settings: their words are not the settings'."""

import msgspec

from littoral.identity import IdentitySettings, Issuer
from littoral.log import Budget, RecordClass, Retention
from littoral.node.config import MIB, AuthConfig, PoliciesConfig, RetentionConfig
from littoral.twin import CreationRule, PolicySettings

_DAY_MS = 86_400_000


def retention_of(config: RetentionConfig) -> Retention:
    """The log's rule for a node's settings: the total is each class's own limit too."""
    total = config.total_mib * MIB
    days = {
        RecordClass.ALARM: config.alarm_days,
        RecordClass.EVENT: config.event_days,
        RecordClass.STATE: config.state_days,
        RecordClass.TELEMETRY: config.telemetry_days,
        RecordClass.BULK: config.bulk_days,
    }
    return Retention(
        total_bytes_max=total,
        classes={
            cls: Budget(bytes_max=total, age_ms_max=count * _DAY_MS) for cls, count in days.items()
        },
    )


def identity_settings_of(config: AuthConfig) -> IdentitySettings:
    """What identities are told, out of a node's settings."""
    return IdentitySettings(
        issuers=tuple(
            Issuer(name, one.issuers, one.subjects, one.audiences, one.condition, one.jwks_url)
            for name, one in config.issuers.items()
        ),
        pre_authenticated=config.pre_authenticated,
        admin_subjects=frozenset(config.admin_subjects),
        devops_subjects=frozenset(config.devops_subjects),
        status_subjects=frozenset(config.status_subjects),
        keys_ms=config.keys_s * 1000,
    )


def policy_settings_of(config: PoliciesConfig, *, owner: bool) -> PolicySettings:
    """The settings of policies; only the ``owner`` of policies removes subjects from them."""
    return PolicySettings(
        expiry_granularity_ms=config.subject_expiry_granularity_s * 1000,
        namespace_roots=config.namespace_roots,
        creation_grants=tuple(
            CreationRule(*msgspec.structs.astuple(rule)) for rule in config.creation_grants
        ),
        creation_revokes=tuple(
            CreationRule(*msgspec.structs.astuple(rule)) for rule in config.creation_revokes
        ),
        token_subject=config.token_subject,
        owner=owner,
    )
