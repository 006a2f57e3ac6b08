"""The words of a bill that are not money: read leniently, in SQL, once a group."""

MACROS = (
    # CSV and databases have several ways to say nothing. Few words have blanks around them, and
    # `trim` takes its time.
    """CREATE MACRO nothing(t) AS t IS NULL OR t IN ('', 'NULL', 'null', 'None', '\\N')""",
    """CREATE MACRO said(t) AS
        CASE WHEN nothing(t) THEN NULL
        WHEN NOT (starts_with(t, ' ') OR ends_with(t, ' ')) THEN t
        WHEN nothing(trim(t)) THEN NULL ELSE trim(t) END""",
    # Fractions are cut: the ledger's times have whole seconds.
    """CREATE MACRO moment(t) AS
        date_trunc('second', CAST(TRY_CAST(t AS TIMESTAMPTZ) AS TIMESTAMP))""",
    """CREATE MACRO in_los_angeles(t) AS
        timezone('America/Los_Angeles', timezone('UTC', t))""",
    # EC2's ARNs end in the id that EC2 itself uses; a bucket's in its name; an address of
    # Google's in the id (global name) or name. All others stay as they are.
    r"""CREATE MACRO resource_id(t) AS CASE
        WHEN starts_with(t, 'arn:') THEN regexp_replace(regexp_replace(t,
            '^arn:[^:]*:[^:]*:[^:]*:[^:]*:[^/:]+/([a-z]+-[0-9A-Za-z]+)$', '\1'),
            '^arn:[^:]*:s3:::([^/]+)$', '\1')
        WHEN starts_with(t, '//') OR starts_with(t, 'projects/')
            THEN regexp_extract(t, '([^/]+)/*$', 1)
        ELSE t END""",
    # A tag's own value, JSON {"key": "value"}, or a list of {key, value}, in JSON or as Python
    # prints it. Keys: gpuctl:project, gpuctl_project, gpuctl-project, with `user` before it.
    r"""CREATE MACRO tagged_project(t) AS CASE
        WHEN t IS NULL THEN NULL
        WHEN NOT (starts_with(t, '{') OR starts_with(t, '[')) THEN t
        WHEN NOT contains(t, 'gpuctl') THEN NULL
        ELSE nullif(replace(coalesce(
            nullif(regexp_extract(t,
                '["''](?:user[_:])?gpuctl[_:-]project["'']\s*:\s*["'']([^"'']*)["'']', 1), ''),
            regexp_extract(t,
                '["'']key["'']\s*:\s*["'']gpuctl[_:-]project["'']\s*,'
                || '\s*["'']value["'']\s*:\s*["'']([^"'']*)["'']', 1)), '\/', '/'), '')
        END""",
)
