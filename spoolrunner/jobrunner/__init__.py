"""job-runner: what an installation of OpenSAFELY's left, read without touching it, and taken over.

    environment   its .env      -> our settings
    database      its db.sqlite -> jobs, whatever schema they are of
    history       jobs          -> what counts: the newest runs, requests that ended or did not
    manifests     its manifest.json, of three generations
    joblogs       its metadata.json of a job, where the database does not say what it made
    surveys       a workspace's files -> what can be taken over
    workspaces    these -> our indexes and manifests
    requests      requests that ended -> done/; those that did not -> inbox/
    taking        all of it together: told first, then done

Facts and rules: reference/opensafely.md 4.4, 4.5, 4.7-4.10, appendix A. Storage is used where it
is, the layout is the same. No file of job-runner's is changed, moved or removed.
"""
