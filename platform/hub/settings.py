"""Settings of the hub, read from the environment. `docs/configuration.md` has a row for each."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from csp.constants import NONE, SELF

from hub.common.api.description import DESCRIPTION
from hub.common.celery_settings import CELERY as CELERY_SETTINGS
from hub.common.hosts import is_loopback
from hub.common.loggers import LOGGERS
from hub.common.providers import providers_in
from hub.operations.theme import THEME

django_stubs_ext.monkeypatch()

ROOT = Path(__file__).resolve().parents[2]
env = environ.FileAwareEnv()  # NAME_FILE may hold any value, for secrets mounted as files

# Secrets. No defaults; manage.py makes them for embedded installations.
SECRET_KEY = env.str("SECRET_KEY")
HUB_SIGNING_KEY = env.str("HUB_SIGNING_KEY")  # base64 of 32 bytes: signs receipts
LEDGER_VERIFIER_KEY = env.str("LEDGER_VERIFIER_KEY", default="")  # public, with the ledgers' name

# Where it is reached
DEBUG = env.bool("DEBUG", default=False)
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_COOKIES = env.bool("SECURE_COOKIES", default=PUBLIC_URL.startswith("https://"))
TRUSTED_PROXY = env.bool("TRUSTED_PROXY", default=False)

# Services
DATABASES: dict[str, dict[str, Any]] = {"default": env.db("DATABASE_URL")}
# Of the tables; for `migrate` only. Empty: the role of DATABASE_URL owns them and can do anything.
DATABASE_OWNER_URL = env.str("DATABASE_OWNER_URL", default="")
DATABASE_OWNER = environ.Env.db_url_config(DATABASE_OWNER_URL) if DATABASE_OWNER_URL else {}
DATABASES["default"]["OPTIONS"] = {
    "pool": {
        "min_size": 0,
        "max_size": env.int("DATABASE_POOL", default=12),
        "timeout": 5,
        "max_idle": 60,
    },
    # A process that freezes in a transaction would keep its locks for as long as it is frozen.
    "options": "-c statement_timeout={} -c idle_in_transaction_session_timeout={}".format(
        env.int("STATEMENT_TIMEOUT_MS", default=20000),
        env.int("IDLE_TRANSACTION_TIMEOUT_MS", default=20000),
    ),
}
DATABASES["default"]["TEST"] = {"NAME": env.str("TEST_DATABASE", default="test_foedus")}
REDIS_URL = env.str("REDIS_URL")  # cache, rate limits, wake-ups
BROKER_URL = env.str("BROKER_URL")  # Celery

# Blobs: a folder, or an S3-compatible bucket
HOME = Path(env.str("FOEDUS_HOME", default=str(ROOT / ".foedus" / "data")))
BLOB_FOLDER = Path(env.str("BLOB_FOLDER", default=str(HOME / "blobs")))
MODEL_SIGNING_KEY_FILE = env.str("MODEL_SIGNING_KEY_FILE", default=f"{HOME}/model_signing_key")
LEDGER_KEY_FILE = env.str("LEDGER_KEY_FILE", default="")  # for the process that signs ledgers
LEDGER_FOLDER = Path(env.str("LEDGER_FOLDER", default=str(HOME / "ledger")))  # its memory
UPLOAD_FOLDER = Path(env.str("UPLOAD_FOLDER", default=str(HOME / "uploads")))
BLOB_BUCKET = env.str("BLOB_BUCKET", default="")
BLOB_ENDPOINT = env.str("BLOB_ENDPOINT", default="")
BLOB_LINK_ENDPOINT = env.str("BLOB_LINK_ENDPOINT", default="")  # empty: all bytes by the hub
BLOB_LINK_BYTES = env.int("BLOB_LINK_BYTES", default=8 * 2**20)
BLOB_ACCEL_PREFIX = env.str("BLOB_ACCEL_PREFIX", default="")  # of nginx's internal location
UPLOAD_CHUNK_BYTES = env.int("UPLOAD_CHUNK_BYTES", default=16 * 2**20)
UPLOAD_LIMIT_BYTES = env.int("UPLOAD_LIMIT_BYTES", default=8 * 2**30)
DISK_RESERVE_BYTES = env.int("DISK_RESERVE_BYTES", default=2**30)  # left to the database
UPLOADS_PER_ORGANISATION = env.int("UPLOADS_PER_ORGANISATION", default=64)
UPLOAD_IDLE_SECONDS = env.int("UPLOAD_IDLE_SECONDS", default=900)
ORGANISATION_QUOTA_BYTES = env.int("ORGANISATION_QUOTA_BYTES", default=256 * 2**30)  # 0: none
FEDERATION_QUOTA_BYTES = env.int("FEDERATION_QUOTA_BYTES", default=1024 * 2**30)  # 0: none

# Base models
BASE_MODEL_SOURCES = env.list("BASE_MODEL_SOURCES", default=["https://huggingface.co"])
PUSH_ENDPOINTS = env.list("PUSH_ENDPOINTS", default=["https://huggingface.co"])  # of versions
BASE_MODEL_SOURCE_TOKEN = env.str("BASE_MODEL_SOURCE_TOKEN", default="")
MERGED_LIMIT_BYTES = env.int("MERGED_LIMIT_BYTES", default=100 * 2**30)
BASE_MODEL_LIMIT_BYTES = env.int("BASE_MODEL_LIMIT_BYTES", default=64 * 2**30)

# Rounds
LEASE_SECONDS = env.float("LEASE_SECONDS", default=60.0)
HEARTBEAT_SECONDS = env.float("HEARTBEAT_SECONDS", default=LEASE_SECONDS / 4)
CLAIM_SECONDS = env.float("CLAIM_SECONDS", default=120.0)  # a hub worker's hold on a piece of work
RECONCILE_SECONDS = env.float("RECONCILE_SECONDS", default=5.0)
PROBE_SECONDS = env.float("PROBE_SECONDS", default=600.0)  # for one adapter on a whole probe set
VALUATION_SECONDS = env.float("VALUATION_SECONDS", default=20.0)  # of coalitions, then others' work
PROBE_WAIT_SECONDS = env.float("PROBE_WAIT_SECONDS", default=60.0)  # of a round, for its updates'
PLAYGROUND_WAITING = env.int("PLAYGROUND_WAITING", default=8)  # questions at once, of everybody
PLAYGROUND_PER_PERSON = env.int("PLAYGROUND_PER_PERSON", default=2)
PLAYGROUND_SECONDS = env.float("PLAYGROUND_SECONDS", default=20.0)  # for one answer
PLAYGROUND_BASE_BYTES = env.int("PLAYGROUND_BASE_BYTES", default=4 * 2**30)  # in fp32
CLOCK_SKEW_SECONDS = 120
NONCE_SECONDS = 600
ENROLMENT_CODE_HOURS = env.int("ENROLMENT_CODE_HOURS", default=24)
AUTO_APPROVE_ORGANISATIONS = env.bool("AUTO_APPROVE_ORGANISATIONS", default=False)

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # leaves the site to hub.common.console
    "hub.common.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "django_filters",
    "django_htmx",
    "template_partials.apps.SimpleAppConfig",
    "django_cotton.apps.SimpleAppConfig",
    "django_prometheus",
    "django_structlog",
    "health_check",
    "rules",
    "hub.common",
    "hub.ledger",
    "hub.accounts",
    "hub.organisations",
    "hub.federations",
    "hub.catalogue",
    "hub.runs",
    "hub.contributions",
    "hub.notices",
    "hub.audit",
    "hub.operations",
    "hub.home",
    "hub.demo",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "hub.common.languages.PageLanguage",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",  # for what does not say otherwise
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "hub.accounts.factors.SecondFactorGate",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "hub.common.middleware.RequestGuard",
    "hub.common.maintenance.MaintenanceGate",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "hub.urls"
ASGI_APPLICATION = "hub.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "frontend" / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django_cotton.cotton_loader.Loader",
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": [
                "django_cotton.templatetags.cotton",
                "template_partials.templatetags.partials",
                "django.templatetags.i18n",
                "hub.common.templatetags.foedus",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "hub.common.context.site",
                "hub.notices.context.unread",
            ],
        },
    }
]

# Static files come from frontend/static and out of installed packages
STATIC_URL = "/static/"
STATICFILES_DIRS = [ROOT / "frontend" / "static"]
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(HOME / "static")))
SERVESTATIC_USE_FINDERS = env.bool("STATIC_FROM_PACKAGES", default=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # artifacts: catalogue
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if SERVESTATIC_USE_FINDERS
            else "servestatic.storage.CompressedManifestStaticFilesStorage"
        )
    },
}

# E-mail
MAIL = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(MAIL)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Foedus <foedus@localhost>")
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=20)  # seconds, of one step

# People
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "rules.permissions.ObjectPermissionBackend",
    "hub.accounts.backends.PeopleBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [{"NAME": "hub.accounts.validators.Rules"}]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home:home"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_SIGNUP_FORM_CLASS = "hub.accounts.forms.NameForm"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = env.str(
    "EMAIL_VERIFICATION",
    # An address that nobody has proved could take the place of whoever is invited.
    default="optional" if "console" in MAIL["EMAIL_BACKEND"] else "mandatory",
)
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False  # the session in which it was changed stays
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Foedus: "
ACCOUNT_ADAPTER = "hub.accounts.adapters.AccountAdapter"
REQUIRE_OPERATOR_MFA = env.bool(
    "REQUIRE_OPERATOR_MFA", default=not is_loopback(urlsplit(PUBLIC_URL).hostname)
)
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = {"authenticate": "hub.accounts.forms.CodeForm"}
MFA_TOTP_ISSUER = "Foedus"
MFA_TOTP_TOLERANCE = 1  # of 30 s, before and after: clocks differ
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # who demands an address that is confirmed: EMAIL_VERIFICATION
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not SECURE_COOKIES
USERSESSIONS_TRACK_ACTIVITY = False
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "APPS": providers_in(env.str("OIDC_PROVIDERS", default="[]")),
        "OAUTH_PKCE_ENABLED": True,
    }
}
SOCIALACCOUNT_ADAPTER = "hub.accounts.providers.ProviderAdapter"
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True  # to connect and to disconnect
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_NAME = "__Host-session" if SECURE_COOKIES else "session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if SECURE_COOKIES else "csrftoken"

# What a browser and a proxy are told
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY else None
SECURE_SSL_REDIRECT = SECURE_COOKIES
SECURE_REDIRECT_EXEMPT = [r"^(livez|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31536000 if SECURE_COOKIES else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_COOKIES
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

# Webhooks. Networks besides the public internet that they may reach, such as 10.20.0.0/16.
WEBHOOK_NETWORKS = env.list("WEBHOOK_NETWORKS", default=[])
WEBHOOK_FAILING_DAYS = env.int("WEBHOOK_FAILING_DAYS", default=5)  # then it is switched off

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # A request says within seconds that Redis is away.
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
    }
}

CELERY = {"broker_url": BROKER_URL, **CELERY_SETTINGS}  # background jobs

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "hub.common.api.authentication.BearerAuthentication",
        "hub.common.api.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["hub.common.api.permissions.Denied"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["hub.common.api.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "hub.common.api.pagination.CursorPage",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": ["hub.common.api.filters.StrictFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": [],
    "DEFAULT_THROTTLE_RATES": {
        "enrolment": "10/hour",
        "token": "20/hour",
        "invitations": "30/hour",
        "registration": "10/hour",
    },
    "DEFAULT_SCHEMA_CLASS": "hub.common.api.schema.AutoSchema",
    "EXCEPTION_HANDLER": "hub.common.api.problems.exception_handler",
    "NUM_PROXIES": 1 if TRUSTED_PROXY else 0,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
REST_KNOX = {
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_PREFIX": "foe_",
    "TOKEN_MODEL": "accounts.ApiToken",
    "TOKEN_TTL": None,  # each token carries the expiry its owner chose
    "AUTO_REFRESH": False,
}
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105 (a name)
MIGRATION_MODULES = {"knox": None}  # its own model is swapped for ours, and needs no table
SPECTACULAR_SETTINGS = DESCRIPTION

# Languages and time
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [ROOT / "frontend" / "locale"]
LANGUAGE_COOKIE_AGE = 365 * 86400
LANGUAGE_COOKIE_SECURE = SECURE_COOKIES
LANGUAGE_COOKIE_HTTPONLY = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = False

# Watching
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")  # empty: from this machine only

# Logs: one JSON event a line
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "hub.common.logs.formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": LOGGERS,
}
DJANGO_STRUCTLOG_CELERY_ENABLED = True  # a job knows the request that asked for it
DJANGO_STRUCTLOG_CELERY_TASK_FAILURE_LOG_LEVEL = logging.WARNING  # expected ones: `throws`
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # the proxy's business
DJANGO_STRUCTLOG_REQUEST_CANCELLED_LOG_LEVEL = logging.DEBUG  # who reads live closes the page

UNFOLD = THEME  # the operator's console
SILENCED_SYSTEM_CHECKS: list[str] = []
