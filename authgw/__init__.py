"""authgw: a forward-auth gateway. Who is this, and may they?"""
